"""A person's picture: what is uploaded is decoded, cut to a square, and written anew.

Only pixels survive: no metadata, no colour profile, nothing that was hidden in or behind the file.
What would cost too much to open is refused before it is opened: by its bytes, by the number of
pixels it declares, and when it moves. One picture is decoded at a time in each process, so that
memory stays bounded too.

Where the result is kept is in accounts/picture_files.py. Imported when the first picture comes: the
library takes 10 MB that most processes never need.
"""

import io
import threading
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from accounts.errors import (
    PictureAnimated,
    PictureDamaged,
    PictureKind,
    PictureTooLarge,
    PictureTooManyPixels,
)
from accounts.picture_files import SIZES, Picture
from accounts.uploads import MAX_UPLOAD_BYTES

MAX_PIXELS = 40_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
QUALITY = 86

# Pillow has a bound of its own, twice ours; below it a line in the log would be all.
warnings.simplefilter("error", Image.DecompressionBombWarning)
_one_at_a_time = threading.Lock()


def read_picture(data: bytes) -> Picture:
    """Decode and write anew. Raises a PictureRefused. Slow: never in the event loop."""
    if len(data) > MAX_UPLOAD_BYTES:
        raise PictureTooLarge
    with _one_at_a_time:
        try:
            _look_at(data)
            square = _square(data)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise PictureTooManyPixels from error
        except (PictureKind, PictureAnimated, PictureTooManyPixels):
            raise
        except UnidentifiedImageError as error:
            raise PictureKind from error
        except Exception as error:
            # Hostile files make decoders raise whatever they like.
            raise PictureDamaged from error
        return Picture({size: _webp(square, size) for size in SIZES})


def _look_at(data: bytes) -> None:
    """By the header alone, and the checksums where the format has them."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise PictureTooManyPixels
        # Some cameras put a second picture behind the first (MPO); the first one is taken.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise PictureAnimated
        image.verify()


def _square(data: bytes) -> Image.Image:
    """The middle of the picture, upright, in the largest size."""
    largest = max(SIZES)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        # A JPEG is then decoded at a fraction of its size.
        image.draft("RGB", (2 * largest, 2 * largest))
        upright = ImageOps.exif_transpose(image)
        has_alpha = upright.has_transparency_data
        plain = upright.convert("RGBA" if has_alpha else "RGB")
        return ImageOps.fit(plain, (largest, largest), Image.Resampling.LANCZOS)


def _webp(square: Image.Image, size: int) -> bytes:
    # From the bare pixels: what hung on the image that was read stays behind.
    bare = Image.frombytes(square.mode, square.size, square.tobytes())
    if bare.width != size:
        bare = bare.resize((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    bare.save(out, "WEBP", quality=QUALITY, method=4)
    return out.getvalue()
