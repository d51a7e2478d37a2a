"""The title in what a model wrote when it was asked for one.

Models answer with more than a title: thinking, an introduction, a label, quotes, Markdown, JSON, a
list of suggestions, an explanation, an excuse. `title_in` finds the title in it, or says that there
is none; then the first words of the chat stay its title.
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
LINE_MAX_CHARS = 300  # a longer line keeps its marks
MAX_READ_CHARS = 1_500  # behind the thinking; what a title is looked for in


def title_in(written: str) -> str:
    """One line, bare, of at most TITLE_MAX_CHARS; empty when there is no title in it."""
    text = _without_thinking(_printable(written))[:MAX_READ_CHARS]
    text = html.unescape(SPECIAL_TOKEN.sub(" ", text)).strip()
    named = _named(text)
    title = _tidied(_from_lines(text) if named is None else named)
    return title if _is_title(title) else ""


def _printable(text: str) -> str:
    """Without control characters, marks of direction and what cannot be seen; joiners, which emoji
    and some scripts need, stay."""
    kept = (
        c if c in "\n\u200c\u200d" or unicodedata.category(c) not in _UNSEEN else " " for c in text
    )
    return "".join(kept).replace("\u200b", "")


_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _without_thinking(text: str) -> str:
    if found := list(FINAL_CHANNEL.finditer(text)):
        return text[found[-1].end() :]
    if OTHER_CHANNEL.search(text):
        return ""
    if found := list(CLOSING_MARK.finditer(text)):
        text = text[found[-1].end() :]
    opening = OPENING_MARK.match(text.lstrip())
    return "" if opening else text


def _named(text: str) -> str | None:
    """The title where the whole is a document that names it: JSON, XML, a box of TeX. None when it
    is no such document."""
    if found := re.search(r"```\w*\s*\n(.*?)(?:```|\Z)", text, re.DOTALL):
        inside = found[1].strip()
        if inside[:1] in ("{", "["):
            text = inside
    if text[:1] in ("{", "["):
        try:
            return _in_json(orjson.loads(text))
        except orjson.JSONDecodeError:
            pass
    if "{" in text and (found := TITLE_KEY.search(text)):
        return _unescaped(found[1] or found[2] or found[3])
    if found := TITLE_TAG.search(text):
        return found[2]
    if found := BOXED.search(text):
        return found[1]
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
            if words.search(key.replace("_", " ")) and (found := _in_json(inner, depth + 1)):
                return found
    inner_values = [inner for inner in value.values() if isinstance(inner, str | list | dict)]
    return _in_json(inner_values[0], depth + 1) if len(inner_values) == 1 else ""


def _unescaped(text: str) -> str:
    try:
        return str(orjson.loads(f'"{text}"'))
    except orjson.JSONDecodeError:
        return text


def _from_lines(text: str) -> str:
    """The first line that is a title; one that says so of itself comes before all others."""
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
    """A line without the marks of Markdown. A fence or a rule is no line."""
    line = line.strip()
    if re.fullmatch(r"(?:```|~~~)[\w+-]*|[-*_=]{3,}", line):
        return ""
    if marks := BEFORE.match(line):
        line = line[marks.end() :]
    line = LINK.sub(r"\1", line)
    if TAG.match(line) or "</" in line:  # "Using <div> and <span>" is about them.
        line = TAG.sub("", line)
    for _ in range(3 if len(line) <= LINE_MAX_CHARS else 0):  # **_x_**
        line = EMPHASIS.sub(r"\2", line)
    if (marks := OPENED.match(line)) and marks[0] not in line[marks.end() :]:
        line = line[marks.end() :]  # broken off before its end
    return line.strip()


def _without_introduction(line: str, is_last: bool) -> str:
    """The line, or what comes after "Sure! Here is a title:"; empty when nothing does."""
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
    """What "Here is a title for it" is followed by: quoted, or behind a colon."""
    if title := _quoted(line):
        return title
    word = HAS_TITLE_WORD.search(line)
    assert word is not None
    found = INTRODUCED.search(line, word.end())
    return line[found.end() :] if found else ""


def _quoted(line: str) -> str:
    found = list(QUOTED.finditer(line))
    return next(part.strip() for part in found[0].groups() if part) if len(found) == 1 else ""


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
    """Without the quotes around all of it, or one of a pair that was broken off."""
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
