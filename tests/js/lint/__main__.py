"""The linter and the type checker of the scripts: `python -m tests.js.lint eslint` or `tsc`.

npm fetches them once (tests/npm.py). `manage.py test --lint` runs both.
"""

import subprocess
import sys
from pathlib import Path

from tests import npm
from tests.node import NODE

HERE = Path(__file__).resolve().parent
BASE_DIR = HERE.parent.parent.parent
COMMANDS = {
    "eslint": [
        "eslint/bin/eslint.js",
        "--config",
        str(HERE / "eslint.config.mjs"),
        "static/js",
        "tests/js",
    ],
    "tsc": ["typescript/bin/tsc", "--project", str(HERE / "tsconfig.json"), "--pretty", "false"],
}


def main(tool: str) -> int:
    try:
        modules = npm.installed(HERE)
    except npm.NotInstalledError as error:
        sys.exit(f"{tool} could not be installed, which needs npm's registry once: {error}")
    entry, *arguments = COMMANDS[tool]
    return subprocess.run([str(NODE), str(modules / entry), *arguments], cwd=BASE_DIR).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
