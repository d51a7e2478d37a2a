"""All measures by name, in the order in which they run."""

from tests.bench import (
    begin,
    first_key,
    lasting,
    latency,
    log,
    long_chat,
    long_send,
    opening,
    reading,
    transport,
)
from tests.bench.bench import Measure
from tests.bench.files import dictation, readers, speech, uploads

MEASURES: dict[str, Measure] = {
    "idle": lasting.idle,
    "page": opening.page,
    "first-key": first_key.first_key,
    "page-cpu": begin.page_cpu,
    "lighthouse": opening.audit,
    "begin": begin.begin,
    "first-token": latency.first_token,
    "latency": latency.latency,
    "burst": latency.burst,
    "transport": transport.transport,
    "appends": log.appends,
    "storage": log.storage,
    "opening": opening.opening,
    "reading": reading.reading,
    "long-chat": long_chat.long_chat,
    "long-send": long_send.long_send,
    "files": uploads.files,
    "dictation": dictation.dictation,
    "slow-readers": readers.slow_readers,
    "speech": speech.speech,
    "followers": lasting.followers,
    "killed": lasting.killed,
    "deployed": lasting.deployed,
}
