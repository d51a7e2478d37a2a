"""Pictures as people and attackers upload them."""

import io
import struct
import zlib

from PIL import Image


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plain(kind="PNG", size=(300, 200), colour=(200, 30, 30), **options):
    return saved(Image.new("RGB", size, colour), kind, **options)


def halves(kind="JPEG", **options):
    """Red above, blue below."""
    image = Image.new("RGB", (400, 400), (220, 0, 0))
    image.paste((0, 0, 220), (0, 200, 400, 400))
    return saved(image, kind, **options)


def rotated():
    """A photo from a camera held on its side; EXIF has the rotation and the place."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Rotate 90° clockwise.
    exif[0x010F] = "Secret camera"
    exif.get_ifd(0x8825)[1] = "N"
    return halves(exif=exif)


def animated(kind="GIF", frames=3):
    images = [Image.new("RGB", (32, 32), (n * 60 % 256, 0, n)) for n in range(frames)]
    return saved(images[0], kind, save_all=True, append_images=images[1:])


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width, height, data=b""):
    """A PNG that declares this size, with any data."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def webp_bomb():
    """40 million equal pixels, lossless, in 34 bytes: decoding it takes 780 MB."""
    return bytes.fromhex("524946461a000000574542505650384c0e0000002f9bd82606071011fd0f4444ff03")


def jpeg_of(width, height):
    """A JPEG that declares this size, but holds a smaller picture."""
    whole = plain("JPEG", size=(64, 64))
    return whole.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", height, width), 1)


def text_bomb():
    """A PNG whose comment decompresses to 300 MB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(300)) + packer.flush()
    whole = plain()
    comment = _chunk(b"zTXt", b"Comment\0\0" + packed)
    return whole[:33] + comment + whole[33:]


def polyglot():
    """A GIF that is also an HTML page with a script, with an archive appended."""
    return plain("GIF") + b"<html><script>alert(1)</script></html>PK\x03\x04secret"


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
