"""The container's health check: exit status 0 when /readyz answers 200."""

import os
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

TIMEOUT_S = 5


def main() -> int:
    url = f"http://127.0.0.1:{os.environ.get('HOLDFAST_PORT', '8000')}/readyz"
    try:
        with urlopen(url, timeout=TIMEOUT_S):
            return 0
    except HTTPError as error:
        answer = error.read().decode(errors="replace")
    except OSError as error:
        answer = str(error)
    sys.stderr.write(answer + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
