"""Spoken answers in a stream: the transcript is text, the sound comes out byte for byte, however
its base64 is split."""

import base64
import random

import orjson
import pytest

from chat.llm.stream.chunks import ChunkReader
from chat.llm.stream.sound_data import SoundReader, ms_of
from tests.fake_model import pcm_of

PCM = pcm_of("fox", 700)
WHOLE = base64.b64encode(PCM).decode()


def chunk(delta, **more):
    return orjson.dumps({"choices": [{"delta": delta}], **more})


def read(*deltas, takes_sound=True):
    chunks = ChunkReader(takes_sound=takes_sound)
    chunks.feed([chunk(delta) for delta in deltas])
    text = "".join(content for _, content in chunks.take(final=True))
    return text, chunks.pop_sound(), chunks.omitted


def test_transcript_and_sound_come_apart():
    first, rest = WHOLE[:4000], WHOLE[4000:]
    deltas = [
        {"role": "assistant", "content": None, "audio": {"id": "a1", "transcript": "Hel"}},
        {"audio": {"data": first}},
        {"audio": {"transcript": "lo.", "data": rest}},
        {"audio": {"expires_at": 1}},
    ]
    assert read(*deltas) == ("Hello.", PCM, [])


def test_without_sound_the_transcript_is_still_the_text():
    delta = {"audio": {"transcript": "Hello.", "data": WHOLE}}
    assert read(delta, takes_sound=False) == ("Hello.", b"", ["audio"])


@pytest.mark.parametrize("seed", range(30))
def test_base64_may_be_split_anywhere(seed):
    dice = random.Random(seed)
    places = sorted(dice.sample(range(len(WHOLE)), 40))
    pieces = [WHOLE[a:b] for a, b in zip([0, *places], [*places, len(WHOLE)], strict=True)]
    reader, heard = SoundReader(), bytearray()
    for piece in pieces:
        reader.feed(piece)
        part = reader.pop()
        assert len(part) % 2 == 0
        heard += part
    assert (heard, reader.size, reader.is_damaged) == (PCM, len(PCM), False)


@pytest.mark.parametrize("seed", range(30))
def test_each_piece_may_be_padded_by_itself(seed):
    dice = random.Random(seed)
    places = sorted(dice.sample(range(len(PCM)), 40))
    reader, heard = SoundReader(), bytearray()
    for begin, end in zip([0, *places], [*places, len(PCM)], strict=True):
        reader.feed(base64.b64encode(PCM[begin:end]).decode())
        heard += reader.pop()
    assert heard == PCM


@pytest.mark.parametrize(
    "encoded",
    [
        WHOLE.translate(str.maketrans("+/", "-_")),
        f"{WHOLE[:99]}\n {WHOLE[99:]}",
        f"{WHOLE}==",
    ],
)
def test_other_alphabets_and_spaces(encoded):
    reader = SoundReader()
    reader.feed(encoded)
    assert reader.pop() == PCM


@pytest.mark.parametrize(
    "junk", ["no base64!", "AAA=AAAA", "\u00e9\u00e9\u00e9\u00e9", "%", "A=", "="]
)
def test_what_is_no_base64_costs_no_other_sound(junk):
    half = len(PCM) // 2 // 6 * 6
    encoded = [base64.b64encode(part).decode() for part in (PCM[:half], PCM[half:])]
    text, sound, _ = read(*({"audio": {"data": data}} for data in (encoded[0], junk, encoded[1])))
    assert sound == PCM


def test_damage_is_said():
    assert read({"audio": {"data": "no base64!"}}) == ("", b"", ["audio"])
    assert read({"audio": {"data": 7}}) == ("", b"", ["audio"])
    assert read({"audio": {"data": [WHOLE]}})[1:] == (b"", ["audio"])


def test_half_a_sample_at_the_end_is_dropped():
    _, sound, omitted = read({"audio": {"data": base64.b64encode(PCM + b"x").decode()}})
    assert (sound, omitted) == (PCM, [])


def test_a_whole_message_at_the_end_repeats_nothing():
    message = {"content": None, "audio": {"data": WHOLE, "transcript": "Hello."}}
    chunks = ChunkReader(takes_sound=True)
    chunks.feed([chunk({"audio": {"transcript": "Hello.", "data": WHOLE}})])
    chunks.feed([orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})])
    assert chunks.pop_sound() == PCM
    assert "".join(content for _, content in chunks.take(final=True)) == "Hello."


def test_a_whole_message_alone_is_read():
    message = {"content": None, "audio": {"data": WHOLE, "transcript": "Hello."}}
    chunks = ChunkReader(takes_sound=True)
    chunks.feed([orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})])
    assert chunks.pop_sound() == PCM
    assert "".join(content for _, content in chunks.take(final=True)) == "Hello."


def test_lengths():
    assert (ms_of(0), ms_of(48), ms_of(28_800_000)) == (0, 1, 600_000)
