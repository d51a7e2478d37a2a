"""A filter for log records that any client can cause."""

import logging

MAX_CHARS = 300


def one_short_line(record: logging.LogRecord) -> bool:
    """Shortens the records of requests that Django refuses as suspicious (`django.security`: an
    unknown host, a broken session, too many fields): at most MAX_CHARS, without a traceback."""
    if record.name.startswith("django.security"):
        record.exc_info = record.exc_text = None
        text = record.getMessage()
        if len(text) > MAX_CHARS:
            record.msg, record.args = text[:MAX_CHARS] + "…", ()
    return True
