"""What strangers can have logged."""

import logging

MAX_CHARS = 300


def one_short_line(record: logging.LogRecord) -> bool:
    """For requests that Django refuses as suspicious (`django.security`: a host that is not set up,
    a broken session, too many fields): what was wrong, without the traceback and not at length. A
    filter of logging."""
    if record.name.startswith("django.security"):
        record.exc_info = record.exc_text = None
        text = record.getMessage()
        if len(text) > MAX_CHARS:
            record.msg, record.args = text[:MAX_CHARS] + "…", ()
    return True
