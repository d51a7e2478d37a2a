"""A script that decodes one picture and scales it down: `image_child.py TASK`.

The file is read from stdin. The result goes to stdout: a line of JSON, then the pictures one after
the other. The task is JSON too; accounts/preferences/image_process.py defines it. This file imports
nothing of Holdfast, because a hostile picture may take over the decoder: its process has no
secrets, little memory and a few seconds (accounts/child_process/launch.py).
"""

import io
import json
import sys
import warnings
from typing import Any

from PIL import GifImagePlugin as GifImagePlugin  # Without these Pillow imports every format.
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import JpegImagePlugin as JpegImagePlugin
from PIL import PngImagePlugin as PngImagePlugin
from PIL import WebPImagePlugin as WebPImagePlugin


class Refused(Exception):
    """`args[0]`: "kind", "pixels", "animated" or "damaged"."""


def read(data: bytes, task: dict[str, Any]) -> list[bytes]:
    """The picture as WebP in each size of the task, largest first. Raises Refused."""
    try:
        _check_header(data, task["max_pixels"])
        picture = _decoded(
            data, list(task["max_pixels"]), max(task["sizes"]), square=task["square"]
        )
        return [_webp(picture, size, task["quality"]) for size in task["sizes"]]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise Refused("pixels") from None
    except UnidentifiedImageError:
        raise Refused("kind") from None
    except Refused:
        raise
    except Exception:  # noqa: BLE001  Hostile files make decoders raise anything.
        raise Refused("damaged") from None


def _check_header(data: bytes, max_pixels: dict[str, int]) -> None:
    """Check the header, and checksums if the format has them. Raises Refused."""
    Image.MAX_IMAGE_PIXELS = max(max_pixels.values())
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Image.open(io.BytesIO(data), formats=list(max_pixels)) as image:
        # Some cameras append a second picture (MPO); only the first is used.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if image.width * image.height > max_pixels[kind]:
            raise Refused("pixels")
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise Refused("animated")
        image.verify()


def _decoded(data: bytes, formats: list[str], largest: int, *, square: bool) -> Image.Image:
    """The picture upright in the largest size: its middle as a square, or all of it."""
    with Image.open(io.BytesIO(data), formats=formats) as image:
        # Makes the JPEG decoder scale down while it decodes.
        image.draft("RGB", (2 * largest, 2 * largest))
        mode = "RGBA" if image.has_transparency_data else "RGB"
        plain = image if image.mode == mode else image.convert(mode)
        ImageOps.exif_transpose(plain, in_place=True)
        if square:
            return ImageOps.fit(plain, (largest, largest), Image.Resampling.LANCZOS)
        plain.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        return plain.copy()


def _webp(picture: Image.Image, size: int, quality: int) -> bytes:
    # Copies the pixels only, without any metadata.
    bare = Image.frombytes(picture.mode, picture.size, picture.tobytes())
    if max(bare.size) > size:
        scale = size / max(bare.size)
        smaller = (max(round(bare.width * scale), 1), max(round(bare.height * scale), 1))
        bare = bare.resize(smaller, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    bare.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def main(task: dict[str, Any]) -> None:
    try:
        pictures = read(sys.stdin.buffer.read(), task)
        result: dict[str, Any] = {"lengths": [len(picture) for picture in pictures]}
    except Refused as refused:
        pictures, result = [], {"refused": refused.args[0]}
    sys.stdout.buffer.write(b"".join([json.dumps(result).encode(), b"\n", *pictures]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
