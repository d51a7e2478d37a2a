"""Markdown as plain text, for where a piece of a message is shown: rough, never markup, and quick
on whatever somebody makes up (no rule goes back over more than a bounded part of a line).

The page has the same rules in static/js/chat/lib/plain_text.js.
"""

import re

_RULES = [
    (re.compile(pattern, re.MULTILINE), put)
    for pattern, put in [
        (r"^ {0,3}(?:`{3,}|~{3,})[^\n]*$", ""),  # The fences of code, not the code.
        (r"^ {0,3}\|?(?: *:?-{2,}:? *\|)+(?: *:?-{2,}:? *)?$", ""),  # Below the head of a table.
        (r"!?\[([^\[\]\n]*)\]\([^()\n]*\)", r"\1"),
        (r"\[\^[^\[\]\s]+\]:?", ""),
        (r"^ {0,3}#{1,6} +", ""),
        (r"^ {0,3}> ?", ""),
        (r"^( {0,12}[-*+]) \[[ xX]\] ", r"\1 "),
        (r"(\*\*|__)(?=\S)([^\n]{0,300}?\S)\1", r"\2"),
        (r"(?:(?<![0-9])~~|~~(?![0-9]))(?=\S)([^\n]{0,300}?\S)~~", r"\1"),  # "5~~10" is a range.
        # Not \w, which is any letter here: scripts without spaces have them beside the mark.
        (r"(?<![A-Za-z0-9_*])\*(?=\S)([^*\n]*?\S)\*(?![A-Za-z0-9_*])", r"\1"),
        (r"(?<!`)`+([^`\n]+)`+", r"\1"),
        (r"\\([!-/:-@\[-`{-~])", r"\1"),
    ]
]


def plain_text(markdown: str) -> str:
    for pattern, put in _RULES:
        markdown = pattern.sub(put, markdown)
    return markdown
