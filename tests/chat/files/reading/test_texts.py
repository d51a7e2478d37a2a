"""Texts: whatever decodes, and nothing else."""

import random

import pytest

ENGLISH = "def main():\n    print('Hello, world')\n"
GERMAN = "Die Bären mögen süße Äpfel, große Nüsse und ein schönes Frühstück im Grünen. " * 4
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 6
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая по-своему. " * 4
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = "<!doctype html><script>alert(document.cookie)</script><p>Hi</p>"


@pytest.mark.parametrize("text", [ENGLISH, SVG, HTML, '{"a": [1, 2]}', "a;b\n1;2"])
def test_code_and_markup_are_plain_text(read, texts, text):
    found = read(text.encode(), "page.html")
    assert (found.kind, found.type, found.thumb) == ("text", "text/plain", None)
    assert texts(found) == [(None, text)]
    assert (found.chars, found.pages, found.is_cut) == (len(text), None, False)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-32"),
        ("\ufeff" + RUSSIAN, "utf-16-be"),
        (GERMAN, "latin-1"),
        (GERMAN, "cp1252"),
        (JAPANESE, "shift-jis"),
        (JAPANESE, "euc-jp"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
    ],
)
def test_text_in_its_encoding(read_here, texts, text, encoding):
    found = read_here(text.encode(encoding))
    assert texts(found) == [(None, text.removeprefix("\ufeff"))]


def test_lines_end_with_a_line_feed(read_here, texts):
    assert texts(read_here(b"a\r\nb\rc\n")) == [(None, "a\nb\nc\n")]


def test_colours_of_a_terminal_are_dropped(read_here, texts):
    assert texts(read_here(b"\x1b[31mred\x1b[0m\x0c")) == [(None, "[31mred[0m")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"text with a \x00 in it",
        ("a" * 999 + "\0").encode("utf-16"),
        b"\xff\xfe\x00\xd8",  # half of a surrogate pair
        random.Random(5).randbytes(5_000),
        bytes(n for n in random.Random(6).randbytes(5_000) if n),
        b"\x01\x02\x03\x04",
        b"\x7fELF\x02\x01\x01\x03" * 20,
    ],
)
def test_what_is_no_text_is_refused(read_here, refused, data):
    assert refused(read_here, data) == "kind"


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", "\ufeff \n".encode("utf-16")])
def test_what_is_empty_is_refused(read, refused, data):
    assert refused(read, data) == "empty"


def test_a_text_is_cut(read, texts):
    found = read(b"0123456789" * 100_001)
    assert (found.chars, found.is_cut) == (1_000_000, True)
    [(_, text)] = texts(found)
    assert len(text) == 1_000_000


def test_the_longest_text_of_the_widest_characters_fits(read):
    assert read(("\U0001f600" * 1_000_000).encode(), "x").chars == 1_000_000


def test_more_bytes_than_a_text_may_have(read, refused):
    assert refused(read, b"a" * 5_000_001) == "too_large"


def test_a_name_only_says_what_a_text_is_called(read, tmp_path):
    for name, called in (
        ("table.CSV", "text/csv"),
        ("../../etc/x.md", "text/markdown"),
        ("../x", "text/plain"),
        ("x\0.csv", "text/csv"),
        ("", "text/plain"),
        ("image.png", "text/plain"),
        ("page.html", "text/plain"),
    ):
        found = read(b"hello", name)
        assert (found.kind, found.type) == ("text", called)
        assert set(found.renditions) == {"text"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["renditions", "source"]
