"""Finds the title in the output of a model that was asked for one.

Models write more than the title: reasoning, an introduction, a label, quotes, Markdown, JSON, a
list of suggestions, an explanation, an apology. `title_in` finds the title, or nothing; then the
first words of the chat remain its title.
"""

import html
import re
import unicodedata

import orjson

from chat.generation.title_phrases import (
    BEFORE,
    BOXED,
    CLOSING_MARK,
    CONSENT,
    EMPHASIS,
    EXCUSE,
    FINAL_CHANNEL,
    HAS_TITLE_WORD,
    HERE,
    INTRODUCED,
    INTRODUCTION,
    LABEL,
    LINK,
    NOTE,
    NOTHING,
    OPENED,
    OPENING_MARK,
    OTHER_CHANNEL,
    QUOTED,
    QUOTES,
    SPECIAL_TOKEN,
    SUGGESTION,
    TAG,
    THINKING_ALOUD,
    TITLE_KEY,
    TITLE_TAG,
    TOPIC_KEY,
)

TITLE_MAX_CHARS = 60
LINE_MAX_CHARS = 300  # longer lines keep their Markdown
MAX_READ_CHARS = 1_500  # after the reasoning; the title is searched only here


def title_in(written: str) -> str:
    """The title: one line of plain text, at most TITLE_MAX_CHARS; empty if there is none."""
    text = _without_thinking(_printable(written))[:MAX_READ_CHARS]
    text = html.unescape(SPECIAL_TOKEN.sub(" ", text)).strip()
    named = _named(text)
    title = _tidied(_from_lines(text) if named is None else named)
    return title if _is_title(title) else ""


def _printable(text: str) -> str:
    """The text without control characters, direction marks and invisible characters.

    Joiners stay, because emoji and some scripts need them.
    """
    kept = (
        c if c in "\n\u200c\u200d" or unicodedata.category(c) not in _UNSEEN else " " for c in text
    )
    return "".join(kept).replace("\u200b", "")


_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _without_thinking(text: str) -> str:
    if marks := list(FINAL_CHANNEL.finditer(text)):
        return text[marks[-1].end() :]
    if OTHER_CHANNEL.search(text):
        return ""
    if marks := list(CLOSING_MARK.finditer(text)):
        text = text[marks[-1].end() :]
    opening = OPENING_MARK.match(text.lstrip())
    return "" if opening else text


def _named(text: str) -> str | None:
    """The title in JSON, an XML tag or a TeX box; None if the text has none of these forms."""
    if fence := re.search(r"```\w*\s*\n(.*?)(?:```|\Z)", text, re.DOTALL):
        inside = fence[1].strip()
        if inside[:1] in ("{", "["):
            text = inside
    if text[:1] in ("{", "["):
        try:
            return _in_json(orjson.loads(text))
        except orjson.JSONDecodeError:
            pass
    if "{" in text and (key := TITLE_KEY.search(text)):
        return _unescaped(key[1] or key[2] or key[3])
    if tag := TITLE_TAG.search(text):
        return tag[2]
    if box := BOXED.search(text):
        return box[1]
    return None


def _in_json(value: object, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > 4 or not value:
        return ""
    if isinstance(value, list):
        return _in_json(value[0], depth + 1)
    if not isinstance(value, dict):
        return ""
    for words in (HAS_TITLE_WORD, TOPIC_KEY):
        for key, inner in value.items():
            if words.search(key.replace("_", " ")) and (title := _in_json(inner, depth + 1)):
                return title
    inner_values = [inner for inner in value.values() if isinstance(inner, str | list | dict)]
    return _in_json(inner_values[0], depth + 1) if len(inner_values) == 1 else ""


def _unescaped(text: str) -> str:
    try:
        return str(orjson.loads(f'"{text}"'))
    except orjson.JSONDecodeError:
        return text


def _from_lines(text: str) -> str:
    """The first line with a label such as "Title:", otherwise the first that may be a title."""
    lines = [bare for line in text.splitlines() if (bare := _bare(line))]
    for place, line in enumerate(lines):
        if label := LABEL.match(line):
            rest = line[label.end() :] or next(iter(lines[place + 1 : place + 2]), "")
            if rest:
                return "" if EXCUSE.match(rest) else rest
    for place, line in enumerate(lines):
        is_last = place == len(lines) - 1
        if EXCUSE.match(line):
            return ""
        if NOTHING.fullmatch(line) and not is_last:  # a heading: "Title"
            continue
        if title := _without_introduction(line, is_last):
            return title if not EXCUSE.match(title) else ""
    return ""


def _bare(line: str) -> str:
    """The line without Markdown; empty for a code fence or a rule."""
    line = line.strip()
    if re.fullmatch(r"(?:```|~~~)[\w+-]*|[-*_=]{3,}", line):
        return ""
    if marks := BEFORE.match(line):
        line = line[marks.end() :]
    line = LINK.sub(r"\1", line)
    if TAG.match(line) or "</" in line:  # "Using <div> and <span>" is a title.
        line = TAG.sub("", line)
    for _ in range(3 if len(line) <= LINE_MAX_CHARS else 0):  # **_x_**
        line = EMPHASIS.sub(r"\2", line)
    if (marks := OPENED.match(line)) and marks[0] not in line[marks.end() :]:
        line = line[marks.end() :]  # cut off before the closing mark
    return line.strip()


def _without_introduction(line: str, is_last: bool) -> str:
    """The line without "Sure! Here is a title:"; empty if nothing follows."""
    rest = line
    if consent := CONSENT.match(line):
        rest = line[consent.end() :]
        if not rest or not is_last and rest.endswith((":", "：")):
            return ""
        is_comma = consent[0].rstrip().endswith((",", "，", "、", "-", "–", "—"))
        if is_comma and not INTRODUCTION.match(rest):
            rest = line  # "Sure, why not?"
    if THINKING_ALOUD.match(rest):
        return ""
    if rest.endswith((":", "：")) or HERE.fullmatch(rest):
        return ""
    if suggestion := SUGGESTION.match(rest):
        return _quoted(rest) or rest[suggestion.end() :]
    if INTRODUCTION.match(rest) and HAS_TITLE_WORD.search(rest):
        return _introduced(rest)
    if len(rest) > TITLE_MAX_CHARS and HAS_TITLE_WORD.search(rest):
        return _quoted(rest) or rest
    return rest


def _introduced(line: str) -> str:
    """The title after "Here is a title for it": in quotes, or after a colon."""
    if title := _quoted(line):
        return title
    word = HAS_TITLE_WORD.search(line)
    assert word is not None
    introduction = INTRODUCED.search(line, word.end())
    return line[introduction.end() :] if introduction else ""


def _quoted(line: str) -> str:
    """The only quoted part of the line; empty if there is none, or several."""
    quotes = list(QUOTED.finditer(line))
    return next(part.strip() for part in quotes[0].groups() if part) if len(quotes) == 1 else ""


def _tidied(title: str) -> str:
    title = " ".join(title.split())
    for _ in range(4):
        before = title
        title = NOTE.sub("", _bare(title)).strip()
        if label := LABEL.match(title):
            title = title[label.end() :]
        title = re.sub(r"\s+[–—-]+$", "", title).rstrip(" .。．,，、;；:：…")
        title = _unquoted(title)
        if title == before:
            break
    return title


def _unquoted(title: str) -> str:
    """The title without quotes around all of it, or an opening quote whose pair was cut off."""
    for opening, closing in QUOTES:
        inner = title[len(opening) : -len(closing)]
        around = title.startswith(opening) and title.endswith(closing)
        if around and len(title) > 2 and opening not in inner and closing not in inner:
            return inner.strip()
    if title[:1] in '"“„«「《' and not any(closing in title[1:] for closing in '"”“»」》'):
        return title[1:].strip()
    return title


def _is_title(title: str) -> bool:
    if not title or len(title) > TITLE_MAX_CHARS or NOTHING.fullmatch(title):
        return False
    return any(c.isalnum() for c in title)
