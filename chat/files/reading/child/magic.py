"""Tells what a file is by its first bytes; nobody's name or header counts."""

from chat.files.reading.child.sound import mp3_frames

JPEG = "image/jpeg"
PNG = "image/png"
GIF = "image/gif"
WEBP = "image/webp"
AVIF = "image/avif"
HEIC = "image/heic"
PDF = "application/pdf"
ZIP = "application/zip"
OLE = "application/x-ole-storage"
TEXT = "text/plain"

WAV = "audio/wav"
MP3 = "audio/mpeg"
M4A = "audio/mp4"
OGG = "audio/ogg"
WEBM = "audio/webm"
FLAC = "audio/flac"

IMAGES = (JPEG, PNG, GIF, WEBP, AVIF, HEIC)
SOUNDS = (WAV, MP3, M4A, OGG, WEBM, FLAC)
HEAD_BYTES = 1024
_STARTS = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"\x1aE\xdf\xa3", WEBM),
    (b"OggS\0", OGG),
    (b"fLaC\0\0\0\x22", FLAC),
    (b"fLaC\x80\0\0\x22", FLAC),
    (b"ID3\2", MP3),
    (b"ID3\3", MP3),
    (b"ID3\4", MP3),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def type_of(head: bytes) -> str:
    """The type by the first HEAD_BYTES; text if nothing is recognised."""
    for start, content_type in _STARTS:
        if head.startswith(start):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    # Texts have no zeros. Each of these has one near its start.
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE" and b"\0" in head[12:64]:
        return WAV
    if head[:1] == b"\0" and head[4:8] == b"ftyp":
        return _type_of_box(head)
    if mp3_frames.is_header(head[:4]):
        return MP3
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"%PDF-"):
        return PDF
    return TEXT


def _type_of_box(head: bytes) -> str:
    """The type of an ISO media file: its main brand decides, then those it is compatible with."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    if _AVIF_BRANDS & set(brands) and brands[0] not in _HEIC_BRANDS - {b"mif1", b"msf1"}:
        return AVIF
    return HEIC if _HEIC_BRANDS & set(brands) else M4A
