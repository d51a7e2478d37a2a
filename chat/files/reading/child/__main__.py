"""A script that reads one file: `__main__.py ROOT BOUNDS`, started by chat/files/reading/reader.py.

The file comes by stdin. Renditions are written to the current folder. A line of JSON goes to
stdout. A library is imported once the kind that needs it is known.
"""

import json
import sys
from dataclasses import asdict
from typing import Any


def main() -> None:
    from chat.files.reading.child.outcome import Bounds
    from chat.files.reading.child.reading import read
    from chat.files.reading.child.refusals import Refused

    result: dict[str, Any]
    try:
        result = asdict(read(sys.stdin.buffer, Bounds(**json.loads(sys.argv[2]))))
    except Refused as refused:
        result = {"refused": refused.reason}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    sys.path.append(sys.argv[1])  # For `chat.files.reading.child`, which imports nothing else.
    main()
