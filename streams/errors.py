"""The errors of the log.

StreamsError
├── LogUnavailableError   Redis did not answer in time; the same call may be repeated
├── FencedError           another writer has taken over this name; stop writing
├── InvalidNameError      a stream, chat or event id that cannot be stored
├── InvalidCursorError    a cursor that is not an entry id
└── EmbeddedRedisError    the embedded Redis cannot be started; the message says what to do

Each has a stable `code`.
"""


class StreamsError(Exception):
    code = "streams_error"


class LogUnavailableError(StreamsError):
    """Redis was unreachable, full or read-only for longer than STREAMS_APPEND_TIMEOUT_MS.

    The append may or may not be in the log. Appending the same event ids again is safe.
    """

    code = "log_unavailable"


class FencedError(StreamsError):
    """The fence has another token: a successor is writing, or the fence was never raised.

    Earlier appends of this writer stay in the log. `token` is the fence's token; 0 if it has none.
    """

    code = "fenced"

    def __init__(self, message: str, token: int = 0) -> None:
        super().__init__(message)
        self.token = token


class InvalidNameError(StreamsError, ValueError):
    code = "invalid_name"


class InvalidCursorError(StreamsError, ValueError):
    code = "invalid_cursor"


class EmbeddedRedisError(StreamsError):
    code = "embedded_redis"
