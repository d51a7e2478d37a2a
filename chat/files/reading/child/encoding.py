"""Encodes images so that each file keeps to its bounds."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, WebPImagePlugin
from PIL import JpegImagePlugin as JpegImagePlugin

from chat.files.reading.child import magic
from chat.files.reading.child.outcome import Bounds

_QUALITIES = (85, 75, 60, 45, 30)
_THUMB_QUALITIES = (75, 60, 45, 30, 15, 5)
_SMALLER = 0.75
# JPEG files and most others hold photos, which PNG makes larger.
_DRAWINGS = (magic.PNG, magic.GIF)

assert WebPImagePlugin.SUPPORTED


def write_view(image: Image.Image, bounds: Bounds) -> str:
    view = fitting(image, bounds.view_side)
    return _write("view", _within(view, bounds.rendition_bytes, "WEBP", _QUALITIES, method=3))


def for_model(image: Image.Image, content_type: str, bounds: Bounds) -> str:
    """Write `model`: PNG for transparency, and for drawings if it is smaller; otherwise JPEG."""
    image = fitting(image, bounds.model_side)
    is_transparent = image.mode == "RGBA"
    png = None
    if is_transparent or content_type in _DRAWINGS:
        png = _encoded(image, "PNG", compress_level=6)
        if len(png) > bounds.rendition_bytes:
            png = None
    if png and is_transparent:
        return _write("model", png)
    jpeg = _within(on_white(image), bounds.rendition_bytes, "JPEG", _QUALITIES)
    return _write("model", png if png and len(png) < len(jpeg) else jpeg)


def write_thumb(image: Image.Image, bounds: Bounds) -> str:
    thumb = fitting(image, bounds.thumb_side)
    return _write("thumb", _within(thumb, bounds.thumb_bytes, "WEBP", _THUMB_QUALITIES, method=4))


def write_page(name: str, image: Image.Image, bounds: Bounds) -> str:
    return _write(name, _within(image, bounds.rendition_bytes, "JPEG", _QUALITIES))


def _within(
    image: Image.Image,
    most_bytes: int,
    pillow_format: str,
    qualities: Sequence[int],
    **options: int,
) -> bytes:
    """The image in at most that many bytes: lower in quality if need be, then smaller."""
    while True:
        for quality in qualities:
            data = _encoded(image, pillow_format, quality=quality, **options)
            if len(data) <= most_bytes:
                return data
        image = fitting(image, int(max(image.size) * _SMALLER))


def fitting(image: Image.Image, side: int) -> Image.Image:
    """The image with at most this length of its longer side; never enlarged."""
    scale = side / max(image.size)
    if scale >= 1:
        return image.copy()
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _encoded(image: Image.Image, pillow_format: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, pillow_format, **options)
    return out.getvalue()


def _write(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name
