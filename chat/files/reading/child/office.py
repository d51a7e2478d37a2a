"""Reads office documents: docx and pptx from their XML, xlsx and ods with python-calamine."""

from typing import IO

from chat.files.reading.child.archives import Archive
from chat.files.reading.child.extracted import Extracted
from chat.files.reading.child.outcome import Bounds, Outcome
from chat.files.reading.child.refusals import Refused
from chat.files.reading.child.xml_parts import main_part

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODS = "application/vnd.oasis.opendocument.spreadsheet"


def read(source: IO[bytes], bounds: Bounds) -> Outcome:
    archive = Archive(source, bounds.zip_entries, bounds.inflated_bytes)
    content_type, main = _type_of(archive)
    extracted = Extracted(bounds.chars)
    pages: int | None
    if content_type in (XLSX, ODS):
        from chat.files.reading.child import sheets

        source.seek(0)
        pages = sheets.extract(source, extracted, bounds.pages)
    elif content_type == PPTX:
        from chat.files.reading.child import slides

        pages = slides.extract(archive, main, extracted, bounds.pages)
    else:
        from chat.files.reading.child import word

        pages = None
        word.extract(archive, main, extracted)
    if extracted.is_blank:
        raise Refused("empty")
    extracted.write("text")
    return Outcome(
        "document",
        content_type,
        pages=pages,
        chars=extracted.chars,
        is_cut=extracted.is_cut,
        names=["text"],
    )


def _type_of(archive: Archive) -> tuple[str, str]:
    """The type of the document and the name of its main part. Raises Refused for other archives."""
    if "mimetype" in archive:
        mimetype = b"".join(archive.chunks("mimetype"))
        if mimetype.strip() != ODS.encode():
            raise Refused("kind")
        manifest = b"".join(archive.chunks("META-INF/manifest.xml"))
        if b"encryption-data" in manifest:
            raise Refused("locked")
        return ODS, "content.xml"
    for content_type in (DOCX, XLSX, PPTX):
        main = main_part(archive, content_type)
        if main is not None:
            return content_type, main
    raise Refused("kind")
