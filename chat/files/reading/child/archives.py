"""Opens ZIP archives: counts what comes out, since their headers may lie."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO
from xml.parsers import expat

from chat.files.reading.child.refusals import Refused

_CHUNK = 64 * 1024
_ENCRYPTED = 1  # the bit of a member's flags
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Archive:
    """A ZIP archive that has been checked."""

    def __init__(self, source: IO[bytes], most_entries: int, most_bytes: int) -> None:
        """Raises Refused if it is encrypted, damaged, or holds too much."""
        try:
            members = zipfile.ZipFile(source).infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
            raise Refused("damaged") from None
        if len(members) > most_entries:
            raise Refused("too_large")
        if any(member.flag_bits & _ENCRYPTED for member in members):
            raise Refused("locked")
        self._source = source
        self._members = {member.filename: member for member in members}
        if len(self._members) < len(members):  # Two readers might see two different documents.
            raise Refused("damaged")
        left = most_bytes
        for name in self._members:
            is_xml = name.lower().endswith((".xml", ".rels"))
            prolog = Prolog() if is_xml else None
            for chunk in self.chunks(name):
                left -= len(chunk)
                if left < 0:
                    raise Refused("too_large")
                if prolog:
                    prolog.feed(chunk)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def chunks(self, name: str) -> Iterator[bytes]:
        """The member, inflated bit by bit. Raises Refused if it is not there or not as it says.

        `zipfile` stops where the header says that the member ends. Other readers go on.
        """
        if name not in self._members:
            raise Refused("damaged")
        member = self._members[name]
        size = checksum = 0
        for chunk in _inflated(self._packed(member), member.compress_type):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
            if size > member.file_size:
                raise Refused("damaged")
            yield chunk
        if size != member.file_size or checksum != member.CRC:
            raise Refused("damaged")

    def _packed(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        self._source.seek(member.header_offset)
        header = self._source.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise Refused("damaged")
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\x03\x04":
            raise Refused("damaged")
        at = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        left = member.compress_size
        while left > 0:
            self._source.seek(at)
            chunk = self._source.read(min(left, _CHUNK))
            if not chunk:
                raise Refused("damaged")
            at += len(chunk)
            left -= len(chunk)
            yield chunk


def _inflated(packed: Iterator[bytes], method: int) -> Iterator[bytes]:
    """Pieces of at most _CHUNK bytes. Raises Refused."""
    if method == zipfile.ZIP_STORED:
        yield from packed
        return
    if method != zipfile.ZIP_DEFLATED:
        raise Refused("damaged")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for data in packed:
            while data:
                chunk = inflater.decompress(data, _CHUNK)
                data = inflater.unconsumed_tail
                if chunk:
                    yield chunk
        if chunk := inflater.flush():  # A few symbols at most are left.
            yield chunk
    except zlib.error:
        raise Refused("damaged") from None
    if not inflater.eof:
        raise Refused("damaged")


class Prolog:
    """Looks at the start of an XML file, up to its first element: no DTD may stand there.

    Entities are declared in a DTD, and a few lines of them expand to gigabytes.
    """

    def __init__(self) -> None:
        self._parser: expat.XMLParserType | None = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = refuse_dtd
        self._parser.StartElementHandler = self._end

    def feed(self, chunk: bytes) -> None:
        try:
            if self._parser:
                self._parser.Parse(chunk, False)
        except expat.ExpatError:
            self._parser = None  # Its reader will say whether it can make something of it.

    def _end(self, *_: object) -> None:
        if self._parser:
            self._parser.StartElementHandler = None
            self._parser.StartDoctypeDeclHandler = None
        self._parser = None


def refuse_dtd(*_: object) -> None:
    raise Refused("damaged")
