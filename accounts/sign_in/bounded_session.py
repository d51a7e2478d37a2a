"""Limits the size and duration of responses from sign-in services."""

import io
from time import monotonic
from typing import Any

import requests
from requests.adapters import HTTPAdapter

MAX_ANSWER_BYTES = 1_000_000  # decompressed
ANSWER_WITHIN_S = 20.0
_PIECE_BYTES = 64 * 1024


class BoundedAdapter(HTTPAdapter):
    """Always reads the whole body in `send`. Raises requests.ConnectionError if it is too long or
    too slow."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        ends = monotonic() + ANSWER_WITHIN_S
        response = super().send(request, *args, **kwargs | {"stream": True})
        body = bytearray()
        try:
            for piece in response.raw.stream(_PIECE_BYTES, decode_content=True):
                body += piece
                if len(body) > MAX_ANSWER_BYTES or monotonic() > ends:
                    raise requests.ConnectionError(
                        "the response is too long or too slow", request=request
                    )
        except (OSError, ValueError) as error:
            raise requests.ConnectionError(error, request=request) from error
        finally:
            response.raw.close()
        response.raw = io.BytesIO(body)
        return response


def bound(session: requests.Session) -> requests.Session:
    for prefix in ("https://", "http://"):
        session.mount(prefix, BoundedAdapter())
    return session
