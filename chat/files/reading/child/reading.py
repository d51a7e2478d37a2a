"""Reads a file by its kind: the first reader that recognises it decides."""

from typing import IO

from chat.files.reading.child import magic
from chat.files.reading.child.outcome import Bounds, Outcome
from chat.files.reading.child.refusals import Refused


def read(source: IO[bytes], bounds: Bounds) -> Outcome:
    """Write the renditions and describe the file. Raises Refused."""
    size = source.seek(0, 2)
    source.seek(0)
    content_type = magic.type_of(source.read(magic.HEAD_BYTES))
    source.seek(0)
    if size > _most_bytes(content_type, bounds):
        raise Refused("too_large")
    try:
        return _read(source, content_type, bounds)
    except MemoryError:
        is_image = content_type in magic.IMAGES
        raise Refused("too_many_pixels" if is_image else "too_large") from None


def _most_bytes(content_type: str, bounds: Bounds) -> int:
    if content_type in magic.IMAGES:
        return bounds.image_bytes
    if content_type in magic.SOUNDS:
        return bounds.wav_bytes if content_type == magic.WAV else bounds.sound_bytes
    return bounds.text_bytes if content_type == magic.TEXT else bounds.document_bytes


def _read(source: IO[bytes], content_type: str, bounds: Bounds) -> Outcome:
    if content_type in magic.IMAGES:
        from chat.files.reading.child import images

        return images.read(source, content_type, bounds)
    if content_type in magic.SOUNDS:
        from chat.files.reading.child import sounds

        return sounds.read(source, content_type, bounds)
    if content_type == magic.PDF:
        from chat.files.reading.child import pdf

        return pdf.read(source.read(), bounds)
    if content_type == magic.ZIP:
        from chat.files.reading.child import office

        return office.read(source, bounds)
    if content_type == magic.OLE:
        # Office encrypts a document by putting it into a file of this kind.
        is_encrypted = "EncryptedPackage".encode("utf-16-le") in source.read()
        raise Refused("locked" if is_encrypted else "kind")
    from chat.files.reading.child import texts

    return texts.read(source.read(), bounds)
