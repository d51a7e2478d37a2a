"""The container's health check: exit status 0 when /readyz answers 200."""

import os
import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

TIMEOUT_S = 5
# Addresses to listen on, each with the one that reaches it from this machine.
EVERY_NETWORK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def main() -> int:
    host = os.environ.get("HOLDFAST_HOST", "")
    host = EVERY_NETWORK.get(host, host)
    port = os.environ.get("HOLDFAST_PORT", "8000")
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT_S):
            return 0
    except HTTPError as error:
        answer = error.read().decode(errors="replace")
    except OSError as error:
        answer = str(error)
    sys.stderr.write(answer + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
