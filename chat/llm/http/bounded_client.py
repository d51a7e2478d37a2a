"""The HTTP client that models are called with: of a refusal it reads no more than is of use."""

from typing import Any

import httpx2

MAX_REFUSAL_BYTES = 64 * 1024  # unpacked; a server that sends more is cut off


class BoundedClient(httpx2.AsyncClient):
    """Cuts the body of an unsuccessful answer to its beginning and replaces its content type: the
    server's could name a character set that is slow to decode. Leaves the body of a successful
    answer to its reader.
    """

    async def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        response = await super().send(request, **kwargs | {"stream": True})
        if response.is_success:
            return response
        try:
            body = await _beginning(response)
        finally:
            await response.aclose()
        headers = {"content-type": "application/json"}
        if after := response.headers.get("retry-after"):
            headers["retry-after"] = after
        return httpx2.Response(
            response.status_code, headers=headers, content=body, request=response.request
        )


async def _beginning(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece[: MAX_REFUSAL_BYTES - len(body)]
            if len(body) >= MAX_REFUSAL_BYTES:
                break
    except httpx2.DecodingError:  # Packed in a way of its own: its status says enough.
        body.clear()
    return bytes(body)
