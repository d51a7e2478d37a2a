"""The request to have one sentence read aloud: OpenAI's, or that of the
process on this machine."""

import orjson
from django.conf import settings

from chat.files.local_speech import calls as local_speech
from chat.files.speaking.means import Voice
from chat.files.speaking.waves import Form, read_wav
from chat.llm.client import Body, post_once

PATH = "/audio/speech"
# Nobody speaks slower for long.
S_PER_CHARACTER = 0.2


async def say(voice: Voice, words: str) -> tuple[Form, bytes]:
    """The sound: its form and its frames. Raises ProviderError."""
    if voice.is_local:
        return await local_speech.say(words)
    request = {
        "model": voice.model.provider_name,
        "voice": voice.name,
        "input": words,
        "response_format": "wav",
    }
    limit_s = settings.MODEL_FIRST_TOKEN_TIMEOUT_MS / 1_000 + len(words) * S_PER_CHARACTER
    body = Body(orjson.dumps(request))
    return read_wav(await post_once(voice.model.endpoint, PATH, body, limit_s))
