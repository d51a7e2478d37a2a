"""Reads images: the first frame upright, as `view` for the page and as `model` for models."""

import importlib
import warnings
from typing import IO, Any

from PIL import Image, ImageOps, UnidentifiedImageError

from chat.files.reading.child import magic
from chat.files.reading.child.colours import plain_colours
from chat.files.reading.child.encoding import fitting, for_model, write_thumb, write_view
from chat.files.reading.child.outcome import Bounds, Outcome
from chat.files.reading.child.refusals import Refused

# What Pillow calls the format, and its module: without them Pillow imports every format.
_FORMATS = {
    magic.JPEG: ("JPEG", "PIL.JpegImagePlugin"),
    magic.PNG: ("PNG", "PIL.PngImagePlugin"),
    magic.GIF: ("GIF", "PIL.GifImagePlugin"),
    magic.WEBP: ("WEBP", "PIL.WebPImagePlugin"),
    magic.AVIF: ("AVIF", "PIL.AvifImagePlugin"),
    magic.HEIC: ("HEIF", "pi_heif"),
}
_THREADS = 2  # Each takes address space, which is limited, and machines have many cores.
_SIDEWAYS = (5, 6, 7, 8)  # the orientations that swap width and height
_ORIENTATION = 0x0112


def read(source: IO[bytes], content_type: str, bounds: Bounds) -> Outcome:
    Image.MAX_IMAGE_PIXELS = bounds.pixels  # Pillow compares it with the header.
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        image, size = _upright(source, content_type, bounds)
        names = [write_view(image, bounds), for_model(image, content_type, bounds)]
        names.append(write_thumb(image, bounds))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused("too_many_pixels") from None
    except (Refused, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Refused("damaged") from None
    except Exception:  # noqa: BLE001  Hostile files make decoders raise anything.
        raise Refused("damaged") from None
    return Outcome("image", content_type, width=size[0], height=size[1], names=names)


def _upright(
    source: IO[bytes], content_type: str, bounds: Bounds
) -> tuple[Image.Image, tuple[int, int]]:
    """The image in the largest size that is needed, in plain colours; and its original size."""
    pillow_format = _prepare(content_type)
    with Image.open(source, formats=[pillow_format]) as image:
        size = image.size
        largest = max(bounds.view_side, bounds.model_side)
        image.draft("RGB", (largest, largest))  # The JPEG decoder then decodes to a smaller size.
        orientation = _orientation(image)
        profile = image.info.get("icc_profile")
        image.load()
        if image.width * image.height > bounds.pixels:  # The first frame may be larger.
            raise Refused("too_many_pixels")
        # Scaled down first, because turning and converting takes as much memory again.
        small = fitting(image, largest)
    small = plain_colours(small, profile)
    small.getexif()[_ORIENTATION] = orientation
    ImageOps.exif_transpose(small, in_place=True)
    return small, size[::-1] if orientation in _SIDEWAYS else size


def _orientation(image: Image.Image) -> int:
    """The number from the metadata; damaged metadata does not matter."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  Pillow raises whatever its parsers raise.
        return 1
    return orientation if type(orientation) is int else 1


def _prepare(content_type: str) -> str:
    """Load the decoder. Returns the name of its format."""
    pillow_format, module = _FORMATS[content_type]
    plugin: Any = importlib.import_module(module)
    if content_type == magic.HEIC:
        plugin.register_heif_opener(
            decode_threads=_THREADS, thumbnails=False, depth_images=False, aux_images=False
        )
    elif content_type == magic.AVIF:
        plugin.DEFAULT_MAX_THREADS = _THREADS
    return pillow_format
