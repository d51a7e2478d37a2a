"""A process that reads one picture and writes it small: `python -I image_child.py TASK`.

The file comes over stdin, the result goes to stdout: a line of JSON, then the pictures one after
the other. The task is JSON as well: accounts/preferences/image_process.py says what is in it. This
file imports nothing of Holdfast, for a hostile picture may make the library do anything: whatever
it does here, it has no secrets, little memory, no file to write to and a few seconds.
"""

import io
import json
import os
import resource
import signal
import sys
import warnings
from typing import Any

if __name__ == "__main__":  # Before the library, whose import is limited as well.
    task: dict[str, Any] = json.loads(sys.argv[1])
    for limit, most in (
        (resource.RLIMIT_AS, task["memory_bytes"]),
        (resource.RLIMIT_CPU, task["cpu_s"]),
        (resource.RLIMIT_FSIZE, task["result_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    signal.alarm(task["wall_s"])  # Also when nobody is left who waits for it.
    os.nice(10)

from PIL import GifImagePlugin as GifImagePlugin  # Named, or Pillow imports every format.
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import JpegImagePlugin as JpegImagePlugin
from PIL import PngImagePlugin as PngImagePlugin
from PIL import WebPImagePlugin as WebPImagePlugin


class Refused(Exception):
    """`args[0]`: "kind", "pixels", "animated" or "damaged"."""


def read(data: bytes, task: dict[str, Any]) -> list[bytes]:
    """The picture in each of the sizes, largest first. Raises Refused."""
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
    except Exception:  # noqa: BLE001  Hostile files make decoders raise whatever they like.
        raise Refused("damaged") from None


def _check_header(data: bytes, max_pixels: dict[str, int]) -> None:
    """By the header alone, and the checksums where the format has them."""
    Image.MAX_IMAGE_PIXELS = max(max_pixels.values())
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Image.open(io.BytesIO(data), formats=list(max_pixels)) as image:
        # Some cameras put a second picture behind the first (MPO); the first one is taken.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if image.width * image.height > max_pixels[kind]:
            raise Refused("pixels")
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise Refused("animated")
        image.verify()


def _decoded(data: bytes, formats: list[str], largest: int, *, square: bool) -> Image.Image:
    """Upright, in the largest size: the middle of it as a square, or the whole."""
    with Image.open(io.BytesIO(data), formats=formats) as image:
        # A JPEG is then decoded at a fraction of its size.
        image.draft("RGB", (2 * largest, 2 * largest))
        mode = "RGBA" if image.has_transparency_data else "RGB"
        plain = image if image.mode == mode else image.convert(mode)
        ImageOps.exif_transpose(plain, in_place=True)
        if square:
            return ImageOps.fit(plain, (largest, largest), Image.Resampling.LANCZOS)
        plain.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        return plain.copy()


def _webp(picture: Image.Image, size: int, quality: int) -> bytes:
    # From the bare pixels: what hung on the image that was read stays behind.
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
        said: dict[str, Any] = {"lengths": [len(picture) for picture in pictures]}
    except Refused as refused:
        pictures, said = [], {"refused": refused.args[0]}
    sys.stdout.buffer.write(b"".join([json.dumps(said).encode(), b"\n", *pictures]))


if __name__ == "__main__":
    main(task)
