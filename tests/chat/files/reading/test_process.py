"""The process that reads files: its limits, and that nothing it says or writes is trusted."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.child_process import run as child_process
from chat.files.reading import reader
from chat.files.reading.results import FileRefused, checked
from tests.accounts.preferences.images import plain, webp_bomb
from tests.chat.files.reading.office_files import cells, docx, ods, paragraph, pptx, says, xlsx
from tests.chat.files.reading.pdf_files import PICTURE, pdf, shows
from tests.examples import examples

TEXT = {
    "kind": "text", "type": "text/plain", "width": None, "height": None, "pages": None, "chars": 2,
    "is_cut": False, "names": ["text"], "duration_ms": None, "is_plain_wav": False,
}  # fmt: skip
IMAGE = TEXT | {
    "kind": "image", "type": "image/png", "width": 9, "height": 9, "chars": None,
    "names": ["view", "model", "thumb"],
}  # fmt: skip
SOUND = TEXT | {
    "kind": "audio", "type": "audio/wav", "chars": None, "names": [], "duration_ms": 900_000,
}  # fmt: skip
PDF = TEXT | {
    "kind": "document", "type": "application/pdf", "pages": 3, "names": ["text", "thumb", "page-2"],
}  # fmt: skip
WEBP = b"RIFF\0\0\0\0WEBPVP8 "
JPEG = b"\xff\xd8\xff\xe0"
PAGES = b'[{"page": null, "text": "hi"}]'
IMAGE_FILES = {"view": WEBP, "model": JPEG, "thumb": WEBP}
PDF_FILES = {"text": PAGES, "thumb": WEBP, "page-2": JPEG}


def look(into, result, files):
    for name, data in files.items():
        (into / name).write_bytes(data)
    output = result if isinstance(result, bytes) else json.dumps(result).encode()
    return checked(output, into, reader.BOUNDS)


def test_what_is_as_it_should_be_is_taken(into):
    assert look(into, TEXT, {"text": PAGES}).chars == 2


@pytest.mark.parametrize(("result", "files"), [(IMAGE, IMAGE_FILES), (PDF, PDF_FILES)])
def test_renditions_as_they_should_be_are_taken(into, result, files):
    found = look(into, result, files)
    assert found.thumb == WEBP
    assert {name: path.read_bytes() for name, path in found.renditions.items()} == {
        name: data for name, data in files.items() if name != "thumb"
    }


LIES = {
    "no-json": (b"rubbish", {}),
    "deep": (b"[" * 16_000, {}),
    "nothing": (b"", {}),
    "long": (json.dumps(TEXT).encode() + b" " * 20_000, {"text": PAGES}),
    "a-list": ([1], {}),
    "a-field-less": ({"kind": "text"}, {}),
    "unknown-reason": ({"refused": "whatever"}, {}),
    "reason-of-a-type": ({"refused": ["kind"]}, {}),
    "other-kind": (TEXT | {"kind": "image"}, {"text": PAGES}),
    "other-type": (TEXT | {"type": "text/html"}, {"text": PAGES}),
    "type-of-a-type": (TEXT | {"type": []}, {"text": PAGES}),
    "wrong-chars": (TEXT | {"chars": 3}, {"text": PAGES}),
    "true-chars": (TEXT | {"chars": True}, {"text": b'[{"page": null, "text": "x"}]'}),
    "no-chars": (TEXT | {"chars": None}, {"text": PAGES}),
    "negative": (IMAGE | {"width": -1}, IMAGE_FILES),
    "a-fraction": (IMAGE | {"width": 1.5}, IMAGE_FILES),
    "no-width": (IMAGE | {"width": None}, IMAGE_FILES),
    "too-many-pixels": (IMAGE | {"width": 50_000, "height": 50_000}, IMAGE_FILES),
    "too-many-pages": (PDF | {"pages": 501}, PDF_FILES),
    "no-pages": (PDF | {"pages": None}, PDF_FILES),
    "unknown-name": (TEXT | {"names": ["text", "x"]}, {"text": PAGES, "x": b"x"}),
    "a-path": (TEXT | {"names": ["../source"]}, {}),
    "names-of-a-type": (TEXT | {"names": "text"}, {"text": PAGES}),
    "a-name-twice": (TEXT | {"names": ["text", "text"]}, {"text": PAGES}),
    "no-file": (TEXT, {}),
    "a-file-more": (TEXT, {"text": PAGES, "more": b"x"}),
    "pages-of-a-text": (TEXT | {"names": ["text", "page-1"]}, {"text": PAGES, "page-1": JPEG}),
    "page-501": (PDF | {"names": ["text", "page-501"]}, {"text": PAGES, "page-501": JPEG}),
    "page-0": (PDF | {"names": ["text", "page-0"]}, {"text": PAGES, "page-0": JPEG}),
    "21-pages": (
        PDF | {"names": ["text", *(f"page-{n}" for n in range(1, 22))]},
        {"text": PAGES} | {f"page-{n}": JPEG for n in range(1, 22)},
    ),
    "no-webp": (IMAGE, IMAGE_FILES | {"view": b"<html>"}),
    "html-as-jpeg": (PDF, PDF_FILES | {"page-2": b"<html>"}),
    "html-as-model": (IMAGE, IMAGE_FILES | {"model": b"<html>"}),
    "large-thumb": (IMAGE, IMAGE_FILES | {"thumb": WEBP + bytes(8_000)}),
    "large-view": (IMAGE, IMAGE_FILES | {"view": WEBP + bytes(1_500_000)}),
    "large-text": (TEXT, {"text": PAGES + b" " * 4_300_000}),
    "no-list": (TEXT, {"text": b'{"page": null, "text": "hi"}'}),
    "no-utf8": (TEXT, {"text": b'[{"page": null, "text": "\xff\xff"}]'}),
    "a-nul": (TEXT, {"text": b'[{"page": null, "text": "a\\u0000"}]'}),
    "a-half": (TEXT, {"text": b'[{"page": null, "text": "a\\ud800"}]'}),
    "page-of-a-type": (TEXT, {"text": b'[{"page": [], "text": "hi"}]'}),
    "long-label": (TEXT, {"text": b'[{"page": "' + b"x" * 401 + b'", "text": "hi"}]'}),
    "a-key-more": (TEXT, {"text": b'[{"page": 1, "text": "hi", "x": 1}]'}),
}


@pytest.mark.parametrize(("result", "files"), LIES.values(), ids=LIES.keys())
def test_a_process_that_lies_is_not_believed(into, refused, result, files):
    assert refused(look, into, result, files) == "damaged"


@pytest.mark.parametrize("how", ["symlink", "link", "folder", "fifo"])
def test_only_plain_files_of_its_own_are_taken(into, refused, tmp_path, how):
    secret = tmp_path / "secret"
    secret.write_bytes(PAGES)
    make = {
        "symlink": lambda: (into / "text").symlink_to(secret),
        "link": lambda: (into / "text").hardlink_to(secret),
        "folder": lambda: (into / "text").mkdir(),
        "fifo": lambda: os.mkfifo(into / "text"),
    }
    make[how]()
    assert refused(look, into, TEXT, {}) == "damaged"


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.kill(os.getpid(), 9)",
        "import os; os.kill(os.getpid(), 11)",
        "raise SystemExit(1)",
        "print('rubbish')",
        "",
        "open('text', 'wb').write(b'x' * 20_000_000)",
        "b'x' * 1_200_000_000",
        f"open('text', 'w').write({PAGES.decode()!r}); print({json.dumps(TEXT)!r}); raise OSError",
    ],
)
def test_a_process_that_ends_otherwise_means_a_damaged_file(read, refused, other_child, program):
    other_child(program)
    assert refused(read, b"hello") == "damaged"


def test_it_has_no_secrets_and_no_network(read, other_child, monkeypatch, into):
    monkeypatch.setenv("SECRET_KEY", "secret")
    other_child(
        "import json, os, socket, sys\n"
        "state = [dict(os.environ), sorted(os.listdir('/proc/self/fd')), os.getcwd(),\n"
        "         sys.flags.isolated, [name for _, name in socket.if_nameindex()]]\n"
        "try: socket.create_connection(('127.0.0.1', int(sys.argv[-1])), 5)\n"
        "except OSError: state.append('no network')\n"
        "open('state', 'w').write(json.dumps(state))\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with open(os.devnull, "rb") as nothing, (into / "out").open("wb") as out:
            assert child_process.run(
                reader.CHILD, [port], reader.LIMITS, source=nothing, result=out, folder=into
            )
    environment, files, folder, isolated, networks, *rest = json.loads((into / "state").read_text())
    assert not [value for value in environment.values() if "secret" in value]
    assert set(environment) <= {"LC_CTYPE"} and isolated == 1 and folder == str(into)
    assert set(files) <= {"0", "1", "2", "3"}  # The last is the listing itself.
    if _may_leave_the_network():
        assert networks == ["lo"] and rest == ["no network"]


def _may_leave_the_network():
    wanted = ["unshare", "--net"] + (["--user"] if os.geteuid() else [])
    try:
        return subprocess.run([*wanted, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def test_it_imports_only_what_the_kind_needs(tmp_path):
    libraries = {"PIL", "pi_heif", "pypdfium2", "python_calamine", "charset_normalizer", "lxml"}
    for data, needed in (
        (plain(), {"PIL"}),
        (pdf([shows("x")]), {"PIL", "pypdfium2"}),
        (docx(paragraph("x")), set()),
        (xlsx({"One": cells(1, "x")}), {"python_calamine"}),
        ("süß".encode("latin-1") * 40, {"charset_normalizer"}),
    ):
        program = (
            "import runpy, sys, json\n"
            f"sys.argv = ['x', {str(reader.ROOT)!r}, {reader.bounds_json()!r}]\n"
            f"runpy.run_path({str(reader.CHILD)!r}, run_name='__main__')\n"
            "print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))\n"
        )
        source = tmp_path / "source"
        source.write_bytes(data)
        with source.open("rb") as file:
            done = subprocess.run(
                [sys.executable, "-I", "-c", program],
                stdin=file, capture_output=True, cwd=tmp_path,
            )  # fmt: skip
        # Its own line has no end.
        modules = set(json.loads(done.stdout[done.stdout.rindex(b"[") :]))
        assert modules & libraries == needed
        assert not modules & {"django", "accounts", "billing", "config", "streams", "asyncio"}


def test_one_file_is_read_at_a_time_and_few_wait(read, other_child, monkeypatch, tmp_path):
    go_on = tmp_path / "go-on"
    other_child(f"import os, time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.02)")
    monkeypatch.setattr(child_process, "WAIT_S", 0.1)
    seen = []

    def ask():
        try:
            read(b"hello")
        except (reader.ReaderBusy, FileRefused) as error:
            seen.append(type(error))

    first = threading.Thread(target=ask)
    first.start()
    while not reader.places.running.locked():
        time.sleep(0.01)
    ask()  # This one waited.
    waiting = [reader.places.free.acquire(blocking=False) for _ in range(reader.MAX_WAITING - 1)]
    assert all(waiting)
    monkeypatch.setattr(child_process, "WAIT_S", 10_000)
    ask()  # This one was refused at once.
    reader.places.free.release(len(waiting))
    go_on.touch()
    first.join()
    assert seen == [reader.ReaderBusy, reader.ReaderBusy, FileRefused]


def test_a_file_that_needs_more_memory_than_there_is(read, refused, monkeypatch):
    little = replace(reader.LIMITS, memory_bytes=500_000_000)
    monkeypatch.setattr(reader, "LIMITS", little)
    assert refused(read, webp_bomb()) == "too_many_pixels"


WHOLE = [
    *(plain(kind, size=(40, 30)) for kind in ("PNG", "JPEG", "WEBP", "GIF", "AVIF")),
    pdf([shows("Some text"), PICTURE]),
    docx(paragraph("Some text")),
    pptx(says("Some text")),
    xlsx({"One": cells(1, "Some text", 3)}),
    ods({"One": [["Some text"]]}),
    "Some täxt".encode("latin-1") * 20,
]


@given(
    whole=st.sampled_from(WHOLE),
    at=st.floats(0, 1),
    junk=st.binary(max_size=20),
    cut=st.booleans(),
)
@settings(
    deadline=None,
    max_examples=examples(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_broken_file_is_read_or_refused_and_nothing_else(read, into, whole, at, junk, cut):
    here = int(at * len(whole))
    for old in into.iterdir():
        old.unlink()
    with contextlib.suppress(FileRefused):
        read(whole[:here] + junk + (b"" if cut else whole[here + len(junk) :]))
