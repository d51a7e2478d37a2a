"""Sound: recognised by its content, and measured by what is there. The files beside were made with
ffmpeg, from 1.5 s of a tone."""

import random
from pathlib import Path

import pytest

from tests.chat.files.sound.sounds import tone

FOLDER = Path(__file__).with_name("sounds")
TYPES = {
    "cbr.mp3": "audio/mpeg",
    "vbr.mp3": "audio/mpeg",
    "plain.m4a": "audio/mp4",
    "fragments.m4a": "audio/mp4",  # as Safari records
    "opus.ogg": "audio/ogg",
    "vorbis.ogg": "audio/ogg",
    "inside.ogg": "audio/ogg",  # FLAC
    "opus.webm": "audio/webm",
    "live.webm": "audio/webm",  # without a duration
    "plain.flac": "audio/flac",
}


def sound(name):
    return (FOLDER / name).read_bytes()


def patched(data, at, new):
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize("name", TYPES)
def test_every_kind_is_recognised_and_measured(read_here, name):
    found = read_here(sound(name))
    assert (found.kind, found.type) == ("audio", TYPES[name])
    # Encoders add some silence.
    assert 1_490 <= found.duration_ms <= 1_650
    assert found.renditions == {} and found.chars is None and not found.is_plain_wav


def test_clusters_of_unknown_size_are_measured(read_here):
    """As Chromium records. Each of these has a size of two bytes."""
    data, at = sound("live.webm"), 0
    while (at := data.find(b"\x1f\x43\xb6\x75", at)) >= 0:
        data = patched(data, at + 4, b"\x7f\xff")
        at += 4
    assert read_here(data).duration_ms == 1_520


def test_the_other_process_reads_sound_too(read):
    assert read(sound("live.webm")).duration_ms == 1_520


@pytest.mark.parametrize(
    ("options", "is_plain"),
    [
        ({}, True),
        ({"rate": 44_100}, False),
        ({"channels": 2}, False),
        ({"width": 1}, False),
        ({"width": 3}, False),
    ],
)
def test_wav_is_measured_by_its_samples(read_here, options, is_plain):
    found = read_here(tone(2.5, **options))
    assert (found.type, found.duration_ms) == ("audio/wav", 2_500)
    assert found.is_plain_wav is is_plain


def test_pictures_with_sound_are_no_sound(read_here, refused):
    assert refused(read_here, sound("film.mp4")) == "kind"
    assert refused(read_here, sound("film.webm")) == "kind"


# What lies


@pytest.mark.parametrize("size", [0, 2**31, 2**32 - 1])
def test_a_wav_that_was_cut_off_is_as_long_as_it_is(read_here, size):
    data = patched(tone(1.0), 40, size.to_bytes(4, "little"))
    assert read_here(patched(data, 4, size.to_bytes(4, "little"))).duration_ms == 1_000


def test_a_wav_ends_where_its_samples_end(read_here):
    assert read_here(tone(1.0) + b"LIST\x04\0\0\0abcd" + bytes(100_000)).duration_ms == 1_000


@pytest.mark.parametrize(
    ("at", "new"),
    [
        (24, (4_000_000_000).to_bytes(4, "little")),  # samples a second
        (24, bytes(4)),
        (22, bytes(2)),  # channels
        (32, b"\x01\0"),  # bytes of a sample
        (34, b"\x07\0"),  # bits
        (12, b"fmtx"),
        (36, b"dataX"[:4].swapcase()),
    ],
)
def test_a_wav_that_lies_about_itself_is_damaged(read_here, refused, at, new):
    assert refused(read_here, patched(tone(), at, new)) == "damaged"


def test_encodings_that_few_programs_play_are_refused(read_here, refused):
    assert refused(read_here, patched(tone(), 20, b"\x11\0")) == "kind"


def test_sound_that_is_too_long_is_refused_whatever_it_says(read_here, refused):
    bounds = {"sound_s": 1}
    assert refused(read_here, tone(1.1), **bounds) == "too_long"
    for name in TYPES:
        assert refused(read_here, sound(name), **bounds) == "too_long", name
    # The header of the variable rate says how many frames there are. Nobody asks it.
    lying = sound("vbr.mp3").replace(b"Xing", b"Xong")
    assert refused(read_here, lying, **bounds) == "too_long"


def test_opus_is_measured_by_its_packets_not_by_what_its_pages_say(read_here):
    data = bytearray(sound("opus.ogg"))
    at = 0
    while (at := data.find(b"OggS", at)) >= 0:
        data[at + 6 : at + 14] = bytes(8)
        at += 4
    assert read_here(bytes(data)).duration_ms == 1_520


def test_sound_that_hides_its_length_is_damaged(read_here, refused):
    # Each position is that of the first sample: a second would have megabytes.
    data = bytearray(sound("vorbis.ogg"))
    at = 0
    while (at := data.find(b"OggS", at)) >= 0:
        if at:
            data[at + 6 : at + 14] = (1).to_bytes(8, "little")
        last, at = at, at + 4
    page = bytes(data[last:])
    assert refused(read_here, bytes(data) + page * 400) == "damaged"
    flac = bytearray(sound("plain.flac"))
    flac[21] &= 0xF0
    flac[22:26] = (1).to_bytes(4, "big")
    assert refused(read_here, bytes(flac) + bytes(200_000)) == "damaged"


def test_too_many_bytes_are_refused(read_here, refused):
    assert refused(read_here, sound("cbr.mp3"), sound_bytes=3_000) == "too_large"
    assert refused(read_here, tone(), wav_bytes=3_000) == "too_large"
    assert read_here(tone(), sound_bytes=3_000).duration_ms == 1_000


@pytest.mark.parametrize("name", ["tone", *TYPES])
def test_what_is_cut_off_or_garbled_ends_in_order(read_here, name):
    whole = tone(0.3) if name == "tone" else sound(name)
    dice = random.Random(name)
    for _ in range(60):
        data = bytearray(whole[: dice.randrange(12, len(whole))])
        for _ in range(dice.randrange(4)):
            data[dice.randrange(12, len(data))] = dice.randrange(256)
        try:
            found = read_here(bytes(data))
        except Exception as error:  # noqa: BLE001
            assert getattr(error, "reason", repr(error)) in ("damaged", "kind", "empty", "too_long")
        else:
            assert found.kind == "audio" and found.duration_ms > 0


# Neither takes the other's


@pytest.mark.parametrize(
    "text",
    [
        "ID3 tags are at the start of a file.",
        "OggS is how a page begins.",
        "fLaC is a magic number.",
        "RIFF and WAVE are words.",
        "RIFFabcdWAVE is a start.",
        "1234ftypM4A  is a box.",
    ],
)
def test_text_about_sound_is_text(read_here, text):
    assert read_here(text.encode()).kind == "text"


def test_utf_16_is_no_mp3(read_here):
    assert read_here("\ufeffWords".encode("utf-16-le")).kind == "text"


@pytest.mark.parametrize(
    "data",
    [
        b"ID3\x04" + bytes(range(1, 200)),
        b"\x00\x00\x00\x18ftypmp42",
        b"\x1aE\xdf\xa3" + bytes(40),
        b"fLaC\x80\0\0\x22" + bytes(34),
        b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0",
    ],
)
def test_the_mere_start_of_a_sound_is_damaged(read_here, refused, data):
    assert refused(read_here, data) == "damaged"


def test_a_stream_without_a_sound_is_of_another_kind(read_here, refused):
    assert refused(read_here, b"OggS\0\x02" + bytes(40)) == "kind"


def test_a_wav_with_a_page_in_it_is_sound(read_here):
    page = b"<html><script>alert(1)</script></html>"
    chunk = b"LIST" + len(page).to_bytes(4, "little") + page
    data = tone(1.0)
    assert read_here(data[:36] + chunk + data[36:] + page).type == "audio/wav"


def test_silence_of_no_length_is_empty(read_here, refused):
    assert refused(read_here, tone(0.0)) == "empty"
