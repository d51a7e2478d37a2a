import json
from dataclasses import asdict, replace

import pytest

from chat.files.reading import reader
from chat.files.reading.child import reading
from chat.files.reading.child.refusals import Refused
from chat.files.reading.results import FileRefused, checked


@pytest.fixture
def into(tmp_path):
    folder = tmp_path / "renditions"
    folder.mkdir()
    return folder


@pytest.fixture
def read(tmp_path, into):
    """Reads bytes as the product does."""

    def read(data, name="file"):
        source = tmp_path / "source"
        source.write_bytes(data)
        return reader.read_file(source, name, into)

    return read


@pytest.fixture
def read_here(tmp_path, into, monkeypatch):
    """Reads bytes with the code of the other process, but in this one, which is faster."""

    def read_here(data, **bounds):
        source = tmp_path / "source"
        source.write_bytes(data)
        for old in into.iterdir():
            old.unlink()
        monkeypatch.chdir(into)
        within = replace(reader.BOUNDS, **bounds)
        with source.open("rb") as file:
            try:
                result = asdict(reading.read(file, within))
            except Refused as refused:
                result = {"refused": refused.reason}
        return checked(json.dumps(result).encode(), into, within)

    return read_here


@pytest.fixture
def refused():
    """The reason for which the call refuses the file."""

    def refused(read, *args, **kwargs):
        with pytest.raises(FileRefused) as error:
            read(*args, **kwargs)
        return error.value.reason

    return refused


@pytest.fixture
def texts():
    def texts(found):
        pages = json.loads(found.renditions["text"].read_text())
        return [(page["page"], page["text"]) for page in pages]

    return texts


@pytest.fixture
def other_child(tmp_path, monkeypatch):
    """Replaces the program that reads files."""

    def put(program):
        path = tmp_path / "child.py"
        path.write_text(program)
        monkeypatch.setattr(reader, "CHILD", path)

    return put
