"""Converts the colours of an image to sRGB, eight bits each, with transparency if there is any."""

import io

from PIL import Image, ImageCms

_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}


def plain_colours(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image as RGB, or as RGBA if some of it is transparent."""
    image = _eight_bits(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode not in _SPACES:
        image = image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")
    image = _srgb(image, profile).convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        image.putalpha(alpha)
    # The pixels only, without what the file said about them.
    return Image.frombytes(image.mode, image.size, image.tobytes())


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray images of 16 bits are scaled; Pillow would cut off all that is bright."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 257).convert("L")
    return image


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB. A profile that does not fit is ignored."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _SPACES[image.mode]:
            return image
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return converted or image
