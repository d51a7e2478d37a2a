"""Has local speech recognised or made."""

import json

from chat.files.local_speech.process import ask
from chat.files.speaking.waves import Form
from chat.llm.errors import ProviderError

# A sentence has 500 characters at most.
VOICE_LIMIT_S = 60
RECOGNISER_LIMIT_S = 60
# How long each second of sound may take: on two idle cores, an eighth of this.
S_PER_SECOND = 1.0


async def recognise(wav: bytes, seconds: float) -> str:
    """What is said in 16-bit PCM. Raises ProviderError."""
    limit_s = RECOGNISER_LIMIT_S + round(seconds * S_PER_SECOND)
    _, text = await ask("recognise", wav, limit_s)
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ProviderError("bad_stream") from None


async def say(words: str) -> tuple[Form, bytes]:
    """The sound of a sentence: its form and its frames. Raises ProviderError."""
    facts, frames = await ask("speak", json.dumps(words).encode(), VOICE_LIMIT_S)
    form = Form(int(facts["rate"]), 1)
    if not frames or len(frames) % form.frame_bytes:
        raise ProviderError("bad_stream")
    return form, frames
