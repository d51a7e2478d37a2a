"""Snippets: the piece of a text that matches a search best, with the matches marked.

A snippet is a list of parts, [text, whether it matched]: data for the page to render, never markup.
"""

from chat.plain_text import plain_text
from chat.search.words import Term, word_spans

Part = list[str | bool]
SNIPPET_CHARS = 180
BEFORE_CHARS = 50
# How much of a message is searched for matches: first a little, because that usually suffices and
# splitting a text into words takes time; then more. Without a match, the beginning is shown.
FIRST_SEARCH_CHARS = 2_000
MAX_SEARCH_CHARS = 20_000


def highlighted(text: str, terms: list[Term]) -> list[Part]:
    """The whole text as parts."""
    return _parts(text, _matches(text, terms), 0, len(text))


def snippet(text: str, terms: list[Term]) -> list[Part]:
    """About SNIPPET_CHARS of the plain text, where most terms match, in one line.

    If only the markup matches, such as the address of a link, the snippet is the source text.
    """
    wanted = sum(not term.is_excluded for term in terms)
    for chars in (FIRST_SEARCH_CHARS, MAX_SEARCH_CHARS):
        written = text[:chars]
        shown = plain_text(written)
        matches = _matches(shown, terms)
        if not matches and (matches := _matches(written, terms)):
            shown = written
        start, end, term_count = _window(shown, matches)
        if len(text) <= chars or (term_count == wanted and end < len(shown)):
            break
    if not matches and (further := _further(text, terms)):
        return [["…", False], *snippet(further, terms)]
    return _cut(shown, matches, start, end)


def _further(text: str, terms: list[Term]) -> str:
    """The part of a long text, such as a document's, where a term seems to be.

    Finding letters takes much less time than splitting all of the text into words."""
    letters = text.casefold()
    if len(letters) != len(text):  # The places are not the same.
        letters = text.lower()
    for term in terms:
        at = -1 if term.is_excluded else letters.find(term.words[0], MAX_SEARCH_CHARS)
        if at >= 0:
            start = _word_start(text, max(0, at - BEFORE_CHARS), at)
            return text[start : start + FIRST_SEARCH_CHARS]
    return ""


def _cut(text: str, matches: list[tuple[int, int, int]], start: int, end: int) -> list[Part]:
    parts = _parts(text, matches, start, end)
    shown: list[Part] = [[" ".join(f"|{part}|".split())[1:-1], hit] for part, hit in parts]
    if start > 0:
        shown.insert(0, ["…", False])
    if end < len(text):
        shown.append(["…", False])
    return shown


def _matches(text: str, terms: list[Term]) -> list[tuple[int, int, int]]:
    """(start, end, number of the term) of each match, in order, without overlaps."""
    spans = word_spans(text)
    matches: list[tuple[int, int, int]] = []
    for number, term in enumerate(terms):
        if term.is_excluded:
            continue
        size = len(term.words)
        for place in range(len(spans) - size + 1):
            if spans[place][0][:1] == term.words[0][:1] and _is_at(spans, place, term):
                matches.append((spans[place][1], spans[place + size - 1][2], number))
    matches.sort()
    disjoint: list[tuple[int, int, int]] = []
    for match in matches:
        if not disjoint or match[0] >= disjoint[-1][1]:
            disjoint.append(match)
    return disjoint


def _is_at(spans: list[tuple[str, int, int]], place: int, term: Term) -> bool:
    *head, last = term.words
    for offset, word in enumerate(head):
        if spans[place + offset][0] != word:
            return False
    word = spans[place + len(head)][0]
    return word == last or (term.is_prefix and word.startswith(last))


def _window(text: str, matches: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """(start, end, number of terms) of the snippet, around the first place with the most different
    terms close together."""
    if not matches:
        return 0, _word_end(text, min(len(text), SNIPPET_CHARS)), 0
    best, best_count, last = matches[0], 0, 0
    for number, match in enumerate(matches):
        last = max(last, number)
        while last < len(matches) and matches[last][1] <= match[0] + SNIPPET_CHARS - BEFORE_CHARS:
            last += 1
        count = len({term for _, _, term in matches[number : min(last, number + 50)]})
        if count > best_count:
            best, best_count = match, count
    start = _word_start(text, max(0, best[0] - BEFORE_CHARS), best[0])
    return start, _word_end(text, min(len(text), max(best[1], start + SNIPPET_CHARS))), best_count


def _word_start(text: str, start: int, latest: int) -> int:
    if start == 0:
        return 0
    space = text.find(" ", start, latest)
    return space + 1 if space >= 0 else start


def _word_end(text: str, end: int) -> int:
    if end >= len(text):
        return len(text)
    space = text.rfind(" ", max(0, end - 20), end)
    return space if space > 0 else end


def _parts(text: str, matches: list[tuple[int, int, int]], start: int, end: int) -> list[Part]:
    parts: list[Part] = []
    at = start
    for begin, stop, _ in matches:
        if begin < start or begin >= end:
            continue
        stop = min(stop, end)
        if begin > at:
            parts.append([text[at:begin], False])
        parts.append([text[begin:stop], True])
        at = stop
    if at < end:
        parts.append([text[at:end], False])
    return parts
