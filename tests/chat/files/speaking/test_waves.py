"""The WAV of a sentence, as providers send it."""

import pytest

from chat.files.speaking.waves import Form, read_wav, write_wav
from chat.llm.errors import ProviderError
from tests.chat.files.sound.sounds import tone
from tests.fake_model import spoken_wav


def test_frames_and_form():
    data = tone(0.5, rate=24_000)
    assert read_wav(data) == (Form(24_000, 1), data[44:])


def test_a_header_without_the_length():
    whole = spoken_wav(10, {})
    assert read_wav(spoken_wav(10, {"endless": "1"})) == read_wav(whole)


def test_half_a_frame_at_the_end_is_left_out():
    form, frames = read_wav(tone(0.1, channels=2)[:-3])
    assert form.channels == 2 and len(frames) % 4 == 0


def test_chunks_between():
    data = tone(0.1)
    extra = b"LIST\x05\0\0\0INFO\0\0"
    assert read_wav(data[:36] + extra + data[36:]) == read_wav(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3\x04" + bytes(99),
        tone(0.1)[:40],
        tone(0.1)[:45],
        tone(0.1, width=3),
        tone(0.1, rate=96_000),
        b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\x01\0data\0\0\0\0",
        b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff",
    ],
)
def test_anything_else_is_refused(data):
    with pytest.raises(ProviderError) as error:
        read_wav(data)
    assert error.value.code == "bad_stream"


def test_joined():
    form, frames = read_wav(tone(0.2))
    assert read_wav(write_wav(form, [frames, frames])) == (form, frames + frames)
