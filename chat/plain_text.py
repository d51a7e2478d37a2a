"""Converts Markdown to plain text, for excerpts of messages. The result is approximate and never
markup. It is fast on any input, because no rule backtracks over more than a bounded part of a line.

The page has the same rules in static/js/chat/lib/plain_text.js.
"""

import re

_RULES = [
    (re.compile(pattern, re.MULTILINE), put)
    for pattern, put in [
        (r"^ {0,3}(?:`{3,}|~{3,})[^\n]*$", ""),  # The fences, not the code in them.
        (
            r"^ {0,3}\|?(?: *:?-{2,}:? *\|)+(?: *:?-{2,}:? *)?$",
            "",
        ),  # Below a table's header.
        (r"!?\[([^\[\]\n]*)\]\([^()\n]*\)", r"\1"),
        (r"\[\^[^\[\]\s]+\]:?", ""),
        (r"^ {0,3}#{1,6} +", ""),
        (r"^ {0,3}> ?", ""),
        (r"^( {0,12}[-*+]) \[[ xX]\] ", r"\1 "),
        (r"(\*\*|__)(?=\S)([^\n]{0,300}?\S)\1", r"\2"),
        (r"(?:(?<![0-9])~~|~~(?![0-9]))(?=\S)([^\n]{0,300}?\S)~~", r"\1"),  # "5~~10" is a range.
        # Not \w, which matches the letters of all scripts: some have no space beside the mark.
        (r"(?<![A-Za-z0-9_*])\*(?=\S)([^*\n]*?\S)\*(?![A-Za-z0-9_*])", r"\1"),
        (r"(?<!`)`+([^`\n]+)`+", r"\1"),
        (r"\\([!-/:-@\[-`{-~])", r"\1"),
    ]
]


def plain_text(markdown: str) -> str:
    for pattern, put in _RULES:
        markdown = pattern.sub(put, markdown)
    return markdown
