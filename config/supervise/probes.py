"""The supervisor's readiness probes. They use only the standard library, to stay small."""

import asyncio


async def ping_redis(socket: str) -> tuple[bool, str]:
    """Whether Redis responds and has loaded its data, and its reply (such as LOADING ...)."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(b"PING\r\n")
        answer = (await reader.readline()).decode(errors="replace").strip()
    finally:
        writer.close()
    return answer == "+PONG", answer


async def http_get(host: str, port: int, path: str) -> tuple[bool, str]:
    """Whether the status is 200, and the body."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return head.split(b" ")[1:2] == [b"200"], body.decode(errors="replace").strip()
