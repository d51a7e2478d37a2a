"""The table in docs/shared-state.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"`(tests/[\w/]+\.py)(?:: (\w+))?`|`(test_\w+)`")
IN_NODE = re.compile(r"`(tests/js/[\w/]+\.test\.mjs)`: “([^”]+)”")


def test_every_test_that_is_named_is_there():
    file, count = "", 0
    for named, first, more in ROW.findall((ROOT / "docs/shared-state.md").read_text()):
        file = (ROOT / named).read_text() if named else file
        if name := first or more:
            assert re.search(rf"def {name}\(", file), name
            count += 1
    assert count > 40


def test_every_test_in_node_that_is_named_is_there():
    found = IN_NODE.findall((ROOT / "docs/shared-state.md").read_text())
    assert len(found) >= 4
    for file, name in found:
        assert f'test("{name}"' in (ROOT / file).read_text(), name
