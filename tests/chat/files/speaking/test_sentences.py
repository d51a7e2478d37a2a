"""Which parts of an answer are read aloud, and where they stand."""

import pytest

from chat.files.speaking.sentences import MAX_CHARS, sentences_of


def words(answer):
    return [sentence.words for sentence in sentences_of(answer)]


def places(answer):
    units = answer.encode("utf-16-le")
    return [
        units[2 * sentence.start : 2 * sentence.end].decode("utf-16-le")
        for sentence in sentences_of(answer)
    ]


@pytest.mark.parametrize(
    ("answer", "spoken"),
    [
        ("", []),
        ("  \n\n", []),
        ("---\n👍", []),
        ("Hello there, all. How are you today?", ["Hello there, all.", "How are you today?"]),
        ("No end", ["No end"]),
        ("See e.g. the second one.", ["See e.g. the second one."]),
        ("1. First of all\n2. Then the rest", ["1. First of all", "2. Then the rest"]),
        ("- **Tides** are _long_ waves", ["Tides are long waves"]),
        ("- [x] Buy some milk", ["Buy some milk"]),
        ("# A title\nAnd [a link](https://x.y).", ["A title", "And a link."]),
        (
            "**All of it is bold. And the rest.** Not this.",
            ["All of it is bold.", "And the rest.", "Not this."],
        ),
        ("Before\n```python\nx = 1. And.\n```\nAfter", ["Before", "After"]),
        ("````\n```\ncode\n````\nAfter", ["After"]),
        ("| a | b |\n|---|---|\n| 1 | 2 |\nAfter", ["After"]),
        ("$$\nx^2\n$$\nAfter", ["After"]),
        ("\\[ x \\]\nAfter", ["After"]),
        (
            "潮汐は月の引力によって起こります。そしてそれは毎日くり返されます。",
            ["潮汐は月の引力によって起こります。", "そしてそれは毎日くり返されます。"],
        ),
    ],
)
def test_what_is_spoken(answer, spoken):
    assert words(answer) == spoken


def test_places_are_those_of_javascript():
    answer = "🌊🌊 The tide is high. 👍\n\n- Then it is **low**."
    assert places(answer) == ["🌊🌊 The tide is high.", "- Then it is **low**."]


def test_places_follow_each_other_and_are_short():
    answer = "A long word list " * 200 + "\n" + "x" * 1_300
    found = sentences_of(answer)
    assert all(len(sentence.words) <= MAX_CHARS for sentence in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))
    assert "".join(places(answer)).replace(" ", "") == answer.replace(" ", "").replace("\n", "")


def test_hostile_text_is_quick():
    for piece in ("**", "`", "[", "$$", "1. ", "_a", '."', "| "):
        sentences_of(piece * 60_000)
