"""The text of entry ids, as clients send it and as it is compared."""

import pytest

from streams.cursors import entry_ms, is_after, is_cursor, valid_cursor
from streams.errors import InvalidCursorError


@pytest.mark.parametrize(
    ("later", "earlier"), [("2-0", "1-9"), ("10-0", "9-0"), ("5-10", "5-9"), ("1-0", "0-0")]
)
def test_entry_ids_are_compared_as_numbers(later, earlier):
    assert is_after(later, earlier)
    assert not is_after(earlier, later)
    assert not is_after(later, later)


@pytest.mark.parametrize(
    "text", ["", "-", "a-1", "1-a", "1-2-3", "²-0", "\u0661-0", "+", "9" * 50, None, 5]
)
def test_a_client_cannot_send_anything_else(text):
    assert not is_cursor(text)


@pytest.mark.parametrize("text", ["", "-", "1-", "1-2-3", "\u0661-0", "9" * 16])
def test_a_reader_refuses_anything_else(text):
    with pytest.raises(InvalidCursorError):
        valid_cursor(text)


def test_a_time_is_enough_for_a_reader():
    assert valid_cursor("17") == "17-0"
    assert valid_cursor("17-3") == "17-3"
    assert valid_cursor(None) == "0-0"
    assert entry_ms("17-3") == 17
