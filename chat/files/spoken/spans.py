"""Estimates when each sentence of a spoken answer is heard: models say it of no word."""

from collections.abc import Sequence

from chat.files.speaking.sentences import sentences_of
from chat.llm.stream.sound_data import ms_of

Span = list[int]


def estimated_spans(text: str, parts: Sequence[tuple[int, int]]) -> list[Span]:
    """[first, end, ms, ms] of each sentence, in UTF-16 units and in milliseconds.

    `parts`: the text of each attempt, from an offset in UTF-8 bytes, and the bytes of its sound. In
    each part, sentences take time by the characters that are spoken.
    """
    spans: list[Span] = []
    sentences = sentences_of(text)
    starts = [_utf16_units(text, offset) for offset, _ in parts]
    at_ms = 0
    for number, (_, size) in enumerate(parts):
        until = starts[number + 1] if number + 1 < len(parts) else None
        own = [s for s in sentences if s.start >= starts[number]]
        own = own if until is None else [s for s in own if s.start < until]
        total, spoken = sum(len(s.words) for s in own), 0
        length_ms = ms_of(size)
        for sentence in own:
            begin_ms = at_ms + length_ms * spoken // total
            spoken += len(sentence.words)
            span = [sentence.start, sentence.end, begin_ms, at_ms + length_ms * spoken // total]
            spans.append(span)
        at_ms += length_ms
    return spans


def _utf16_units(text: str, offset: int) -> int:
    before = text.encode()[:offset].decode(errors="ignore")
    return len(before.encode("utf-16-le")) // 2
