"""Makes the listening socket. `up` makes it once, and web processes inherit it."""

import errno
import socket

BACKLOG = 1024
LARGEST_PORT = 65_535


class ListenError(Exception):
    """One line: why it cannot listen there and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """Returns the socket; port 0 picks a free one. Raises ListenError."""
    if not 0 <= port <= LARGEST_PORT:
        raise ListenError(f"There is no port {port}: choose one from 0 to {LARGEST_PORT}.")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (socket.gaierror, UnicodeError, ValueError) as error:
        raise ListenError(
            f"{host!r} is no address of this machine: use --host 127.0.0.1 (this machine only) "
            "or --host 0.0.0.0 (every network it is on)."
        ) from error
    except OSError as error:
        raise ListenError(_advice(error, host, port)) from error


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken: stop what uses it, "
            "or choose another one with --port (0 picks a free one)."
        )
    if error.errno == errno.EACCES:
        return f"This user may not listen on port {port}: choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: use --host 127.0.0.1 or --host 0.0.0.0."
    return f"Cannot listen on {host} port {port}: {error.strerror}."
