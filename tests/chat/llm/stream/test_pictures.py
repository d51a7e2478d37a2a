"""Pictures in a stream: cut out of their events, whatever their form and however they are split."""

import base64

import orjson
import pytest

from chat.llm.stream import sse
from chat.llm.stream.chunks import MAX_PICTURES, ChunkReader
from chat.llm.stream.picture_data import take_pictures
from chat.llm.stream.sse import EventSplitter, TooLongError
from tests.fake_model import data_url_of, picture_of

PICTURE = picture_of("fox")
URL = data_url_of(PICTURE)


def image(url=URL):
    return {"type": "image_url", "image_url": {"url": url}}


def chunk(delta, **more):
    return orjson.dumps({"choices": [{"delta": delta}], **more})


def read(*events, takes_pictures=True):
    chunks = ChunkReader(takes_pictures=takes_pictures)
    chunks.feed(list(events))
    text = "".join(content for _, content in chunks.take(final=True))
    return text, [bytes(picture) for picture in chunks.pop_pictures()], chunks.omitted


FORMS = {
    "images": chunk({"content": "a", "images": [image()]}),
    "an address alone": chunk({"content": "a", "images": [{"url": URL}]}),
    "a string": chunk({"content": "a", "images": [{"type": "image_url", "image_url": URL}]}),
    "a part": chunk({"content": [{"type": "text", "text": "a"}, image()]}),
    "a message": orjson.dumps({"choices": [{"message": {"content": "a", "images": [image()]}}]}),
    "escaped": chunk({"content": "a", "images": [image()]}).replace(b"/", b"\\/"),
    "escaped plus": chunk({"content": "a", "images": [image()]}).replace(b"+", b"\\u002B"),
    "spaces": chunk({"content": "a", "images": [image(URL[:90] + "\n" + URL[90:])]}),
    "a parameter": chunk(
        {"content": "a", "images": [image(URL.replace(";base64", ";charset=x;base64"))]}
    ),
    "spread out": b'{"choices": [{"delta": {"content": "a", "images": [{"image_url": {"url" :\n "'
    + URL.encode()
    + b'"}}]}}]}',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_read_in_every_form(form):
    assert read(FORMS[form]) == ("a", [PICTURE], [])


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.example/1.png",
        "data:image/png,notbase64",
        "data:image/png;base64,abc",
        "data:text/html;base64,PGI+",
        "holdfast-picture:0",
        "",
    ],
)
def test_anything_else_is_omitted(url):
    assert read(chunk({"content": "a", "images": [image(url)]})) == ("a", [], ["image"])


def test_a_picture_that_is_repeated_counts_once():
    other = data_url_of(picture_of("dog"))
    event = chunk({"images": [image(), image(other), image()]})
    assert len(read(event, event)[1]) == 2


def test_an_answer_has_so_many_pictures_at_most():
    urls = [data_url_of(picture_of("fox", number)) for number in range(MAX_PICTURES + 3)]
    _, pictures, omitted = read(*(chunk({"images": [image(url)]}) for url in urls))
    assert (len(pictures), omitted) == (MAX_PICTURES, ["image"])


def test_text_that_shows_a_picture_stays_text():
    text = f'![a]({URL}) {{"url": "{URL}"}}'
    assert read(chunk({"content": text})) == (text, [], [])


def test_of_other_models_pictures_are_omitted():
    assert read(FORMS["images"], takes_pictures=False) == ("a", [], ["image"])


def test_what_openai_sends_for_a_picture():
    data = base64.b64encode(PICTURE).decode()
    usage = {"input_tokens": 5, "output_tokens": 7, "input_tokens_details": {"image_tokens": 3}}
    chunks = ChunkReader(takes_pictures=True)
    chunks.feed([orjson.dumps({"created": 1, "data": [{"b64_json": data}], "usage": usage})])
    assert [bytes(picture) for picture in chunks.pop_pictures()] == [PICTURE]
    assert chunks.finish == "stop"
    counted = chunks.usage
    assert (counted.prompt_tokens, counted.completion_tokens) == (5, 7)
    assert (counted.image_input_tokens, counted.image_tokens) == (3, 7)


def test_cutting_out_leaves_the_rest_as_it_was():
    event = FORMS["images"]
    rest, pictures = take_pictures(event)
    [(name, picture)] = pictures.items()
    assert rest.replace(name.encode(), URL.encode()) == event and bytes(picture) == PICTURE


@pytest.mark.parametrize("piece", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("start", [b"data: ", b"data:", b""])
def test_a_long_event_does_not_depend_on_how_it_is_split(piece, start):
    event = chunk({"images": [image(data_url_of(picture_of("fox", 0, 20_000)))]})
    body = start + event + b"\n\n" + start + b'{"choices":[]}\n\n'
    splitter = EventSplitter()
    events = [
        event for at in range(0, len(body), piece) for event in splitter.feed(body[at : at + piece])
    ]
    assert events + splitter.flush() == [event, b'{"choices":[]}']


def test_only_models_that_make_pictures_send_long_events():
    body = b"data: " + chunk({"content": "x" * 2_100_000})
    with pytest.raises(TooLongError):
        EventSplitter().feed(body)
    assert EventSplitter(sse.MAX_PICTURE_EVENT_BYTES).feed(body) == []


@pytest.mark.parametrize("lines", [1, 400])
def test_a_long_document_is_not_parsed_to_find_its_end(monkeypatch, lines):
    parsed = []
    loads = orjson.loads
    monkeypatch.setattr(sse.orjson, "loads", lambda data: parsed.append(len(data)) or loads(data))
    data = b"A" * (1_500_000 // lines)
    document = b'{"a": [\n' + b",\n".join(b'{"b64_json": "%b"}' % data for _ in range(lines))
    document += b"]}"
    splitter = EventSplitter(sse.MAX_PICTURE_EVENT_BYTES)
    events = splitter.feed(document) + splitter.flush()
    assert [loads(event) for event in events] == [loads(document)]
    assert sum(parsed) < 4 * sse.MAX_PARSED_BYTES
