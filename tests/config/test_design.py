"""docs/design.md lists the colours and other tokens of tokens.css."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOKENS = (ROOT / "static/css/tokens.css").read_text()
# These define colours of their own: for print, Django's admin and highlighted code.
ELSEWHERE = ("tokens.css", "print.css", "admin.css", "code.css")
DOCUMENT = (ROOT / "docs/design.md").read_text()


def test_every_colour_is_in_the_document_with_its_values():
    colours = re.findall(r"--([\w-]+): light-dark\(oklch\(([^)]*)\), oklch\(([^)]*)\)\);", TOKENS)
    told = re.findall(r"^\| `--([\w-]+)` \| [^|]+ \| `([^`]*)` \| `([^`]*)` \|$", DOCUMENT, re.M)
    assert told == colours and len(colours) == TOKENS.count("light-dark(")


def test_every_other_token_is_spoken_of():
    names = set(re.findall(r"^    --([\w-]+):", TOKENS, re.M))
    told = set(re.findall(r"`--([\w-]+)`", DOCUMENT))
    between = {f"space-{step}" for step in range(2, 6)}
    assert names - told - between == set() and told - names == set()


def test_no_colour_is_made_up_elsewhere():
    """The only exception is the white behind a QR code, which the dark theme needs, too."""
    for path in sorted((ROOT / "static/css").glob("*.css")):
        if path.name in ELSEWHERE:
            continue
        text = path.read_text().replace("background: oklch(1 0 0);", "")
        made_up = re.findall(r"#[0-9a-f]{3,8}\b(?=[;, )])|\brgba?\(|\bhsla?\(|oklch\(\d", text)
        assert made_up == [], path.name
