"""Settings: workers, and the models they call."""

from environs import validate

from config.env import think_marks
from config.env_headers import env_key, env_line, env_url
from config.env_models import named_models
from config.env_tools import tool_servers
from config.environment import env

# --- Workers ---
WORK_LEASE_MS = env.int("WORK_LEASE_MS", 1_500)
WORK_RENEW_MS = env.int("WORK_RENEW_MS", 400)
WORK_POLL_MS = env.int("WORK_POLL_MS", 200)
WORK_CONCURRENCY = env.int("WORK_CONCURRENCY", 200)
# The memory of a worker for the texts of chats that it answered lately. 0 keeps none.
WORK_KEPT_CHAT_BYTES = env.int("WORK_KEPT_CHAT_BYTES", 32_000_000, validate=validate.Range(min=0))
MAX_ATTEMPTS = 6

# --- Models ---
MODEL_CONNECT_TIMEOUT_MS = env.int("MODEL_CONNECT_TIMEOUT_MS", 10_000)
MODEL_FIRST_TOKEN_TIMEOUT_MS = env.int("MODEL_FIRST_TOKEN_TIMEOUT_MS", 60_000)
MODEL_STALL_TIMEOUT_MS = env.int("MODEL_STALL_TIMEOUT_MS", 30_000)
# The longest answer, thinking included, in stored bytes: an escaped character takes up to six.
MAX_ANSWER_BYTES = env.int("HOLDFAST_MAX_ANSWER_BYTES", 1_000_000, validate=validate.Range(min=1))
BACKGROUND_CALLS = env.bool("HOLDFAST_BACKGROUND_CALLS", True)
DEFAULT_MODEL = env.str("HOLDFAST_DEFAULT_MODEL", "").strip()
# {endpoint: [(name, context window or None)]}: these replace the endpoint's own list of models.
NAMED_MODELS = named_models(env.list("HOLDFAST_MODELS", []))
OPENAI_API_KEY = env_key(env, "OPENAI_API_KEY")
OPENAI_BASE_URL = env_url(env, "OPENAI_BASE_URL")
# The operator's account; sent to OPENAI_BASE_URL alone.
OPENAI_ORG_ID = env_line(env, "OPENAI_ORG_ID")
OPENAI_PROJECT_ID = env_line(env, "OPENAI_PROJECT_ID")
OPENROUTER_API_KEY = env_key(env, "OPENROUTER_API_KEY")
OPENROUTER_BASE_URL = env_url(env, "OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
OLLAMA_HOST = env_line(env, "OLLAMA_HOST")
# Whether people's provider keys may have URLs in private networks:
# accounts/provider_keys/address_filter.py.
ALLOW_PRIVATE_MODEL_URLS = env.bool("HOLDFAST_ALLOW_PRIVATE_MODEL_URLS", False)
# The operator's MCP servers, which everybody may use: docs/decisions/tools.md.
TOOL_SERVERS = tool_servers(env.str("HOLDFAST_TOOL_SERVERS", "").strip())
# Models (as "endpoint/name", * allowed) that continue a partial answer given as the last message.
PREFILL_MODELS: list[str] = env.list("HOLDFAST_PREFILL_MODELS", [])
# Models that see pictures, by their provider's name or as "endpoint/name", * allowed. Used where
# the provider's list does not say what a model reads, as OpenAI's does not.
VISION_MODELS: list[str] = env.list(
    "HOLDFAST_VISION_MODELS",
    [
        "chatgpt-*",
        "claude-*",
        "gemini-*",
        "gemma-3-*",
        "gpt-4.*",
        "gpt-4-turbo*",
        "gpt-4o*",
        "gpt-5*",
        "grok-4*",
        "llama-4*",
        "llava*",
        "o1*",
        "o3*",
        "o4*",
        "pixtral*",
        "*-vl*",
        "*vision*",
    ],
)
# The same for models that hear sound.
HEARING_MODELS: list[str] = env.list("HOLDFAST_HEARING_MODELS", ["*audio*", "gemini-*", "voxtral*"])
# The model that writes speech down, as "endpoint/name"; without one, nothing does.
TRANSCRIPTION = env_line(env, "HOLDFAST_TRANSCRIPTION").strip()
# The form of its requests; without one, it follows from the endpoint.
TRANSCRIPTION_FORM = env.str(
    "HOLDFAST_TRANSCRIPTION_FORM",
    "",
    validate=validate.OneOf(["", "multipart", "json", "chat"]),
)
# What people pay for a minute; without it, the price of the model's tokens.
TRANSCRIPTION_USD_PER_MINUTE = env.decimal(
    "HOLDFAST_TRANSCRIPTION_USD_PER_MINUTE", None, validate=validate.Range(0, 100)
)
# Models that make pictures, named likewise: in chats, and by `/images/generations` alone.
PICTURE_MODELS: list[str] = env.list("HOLDFAST_PICTURE_MODELS", ["gemini-*image*"])
IMAGES_API_MODELS: list[str] = env.list(
    "HOLDFAST_IMAGES_API_MODELS", ["gpt-image-*", "chatgpt-image-*"]
)
# Models whose answers are spoken as well, named likewise, and their voice.
SPEAKING_MODELS: list[str] = env.list("HOLDFAST_SPEAKING_MODELS", ["gpt-*audio*"])
SPEAKING_VOICE = env_line(env, "HOLDFAST_SPEAKING_VOICE").strip() or "alloy"
# The model that reads answers aloud, as "endpoint/name", and its voice; without both, the page uses
# the voices of the browser.
SPEECH = env_line(env, "HOLDFAST_SPEECH").strip()
SPEECH_VOICE = env_line(env, "HOLDFAST_SPEECH_VOICE").strip()
# What people pay for a million characters.
SPEECH_USD_PER_MILLION_CHARACTERS = env.decimal(
    "HOLDFAST_SPEECH_USD_PER_MILLION_CHARACTERS", None, validate=validate.Range(0, 10_000)
)
# Speech by a recogniser and a voice on this machine, for people for whom no model above is usable.
LOCAL_SPEECH = env.bool("HOLDFAST_LOCAL_SPEECH", False)
# The marks around a model's thinking in the text; the usual ones are known.
THINK_MARKS = think_marks(env.list("HOLDFAST_THINK_MARKS", []))
# auto: only if no other endpoint is configured and `up` finds no Ollama.
EMBEDDED_MODEL_CHOICE = env.str(
    "HOLDFAST_EMBEDDED_MODEL", "auto", validate=validate.OneOf(["auto", "True", "False"])
)
_OLLAMA = OLLAMA_HOST.strip() not in ("", "off")
_CONFIGURED = bool(OPENAI_API_KEY or OPENAI_BASE_URL or OPENROUTER_API_KEY or _OLLAMA)
EMBEDDED_MODEL = EMBEDDED_MODEL_CHOICE == "True" or (
    EMBEDDED_MODEL_CHOICE == "auto" and not _CONFIGURED
)
# The address of the embedded model; `up` starts it and sets this for web and workers.
EMBEDDED_MODEL_URL = env.str("HOLDFAST_EMBEDDED_MODEL_URL", "")
EMBEDDED_MODEL_KEY = env.str("HOLDFAST_EMBEDDED_MODEL_KEY", "")  # new at every start
OPENAI_BASE_URL = OPENAI_BASE_URL or "https://api.openai.com/v1"
