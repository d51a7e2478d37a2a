"""Reads the XML parts of an office document, without a tree in memory and without DTDs."""

import posixpath
from collections.abc import Callable, Mapping
from xml.parsers import expat

from chat.files.reading.child.archives import Archive, refuse_dtd
from chat.files.reading.child.refusals import Refused

Start = Callable[[str, Mapping[str, str]], None]
TYPES = "[Content_Types].xml"


class Enough(Exception):
    """The rest need not be read."""


def parse(
    archive: Archive,
    part: str,
    start: Start,
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Call the functions with local names of elements and attributes. Raises Refused."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse_dtd
    parser.StartElementHandler = lambda name, attributes: start(
        _local(name), {_local(key): value for key, value in attributes.items()}
    )
    if end:
        parser.EndElementHandler = lambda name: end(_local(name))
    if text:
        parser.buffer_text = True
        parser.CharacterDataHandler = text
    try:
        for chunk in archive.chunks(part):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except Enough:
        return
    except expat.ExpatError:
        raise Refused("damaged") from None


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def main_part(archive: Archive, content_type: str) -> str | None:
    """The part with the document itself, if the archive is a document of this type."""
    parts = parts_of_type(archive, f"{content_type}.main+xml")
    return parts[0] if parts else None


def parts_of_type(archive: Archive, content_type: str) -> list[str]:
    parts: list[str] = []
    if TYPES not in archive:
        return parts

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Override" and attributes.get("ContentType") == content_type:
            part = attributes.get("PartName", "").removeprefix("/")
            if part in archive:
                parts.append(part)

    parse(archive, TYPES, start)
    return parts


def related(archive: Archive, part: str) -> list[tuple[str, str, str]]:
    """The id, the last word of the type, and the target of each part that this one refers to."""
    folder, name = posixpath.split(part)
    relations = posixpath.join(folder, "_rels", f"{name}.rels")
    found: list[tuple[str, str, str]] = []
    if relations not in archive:
        return found

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
            kind = attributes.get("Type", "").rpartition("/")[2]
            found.append((attributes.get("Id", ""), kind, target.lstrip("/")))

    parse(archive, relations, start)
    return found
