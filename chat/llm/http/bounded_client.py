"""The HTTP client for model calls, which limits the size of error bodies."""

from typing import Any

import httpx2

# In place of Content-Type, for a form that is encoded already: the library takes a form to pieces.
CONTENT_TYPE = "X-Content-Type"
MAX_REFUSAL_BYTES = 64 * 1024  # decompressed; the rest is not read


class BoundedClient(httpx2.AsyncClient):
    """Truncates the body of an error response, and replaces its content type because the server's
    could name a charset that is slow to decode. Successful responses are unchanged.
    """

    async def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        if kind := request.headers.pop(CONTENT_TYPE, ""):
            request.headers["Content-Type"] = kind
        response = await super().send(request, **kwargs | {"stream": True})
        if response.is_success:
            return response
        try:
            body = await _read_start(response)
        finally:
            await response.aclose()
        headers = {"content-type": "application/json"}
        if after := response.headers.get("retry-after"):
            headers["retry-after"] = after
        return httpx2.Response(
            response.status_code, headers=headers, content=body, request=response.request
        )


async def _read_start(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece[: MAX_REFUSAL_BYTES - len(body)]
            if len(body) >= MAX_REFUSAL_BYTES:
                break
    except httpx2.DecodingError:  # An invalid compressed body; the status is enough.
        body.clear()
    return bytes(body)
