"""Makes a person's picture from an upload: decodes it, cuts out a square and encodes it again.

Only pixels are kept: no metadata, no colour profile, nothing hidden in or behind the file. Pictures
that would cost too much to decode are refused first: those with too many bytes or pixels, and
animations. Another process decodes them (accounts/preferences/image_process.py).
accounts/preferences/picture_files.py stores the result.
"""

from accounts.errors import (
    PictureAnimated,
    PictureBusy,
    PictureDamaged,
    PictureKind,
    PictureRefused,
    PictureTooLarge,
    PictureTooManyPixels,
)
from accounts.preferences.image_process import ImageBusy, ImageRefused, Task, shrink
from accounts.preferences.picture_files import SIZES, Picture
from accounts.preferences.uploads import MAX_UPLOAD_BYTES

_TASK = Task(sizes=SIZES)
_REFUSALS: dict[str, type[PictureRefused]] = {
    "kind": PictureKind,
    "pixels": PictureTooManyPixels,
    "animated": PictureAnimated,
    "damaged": PictureDamaged,
}


def read_picture(data: bytes) -> Picture:
    """Decode and encode again. Raises PictureRefused. Blocks: never call it in the event loop."""
    if len(data) > MAX_UPLOAD_BYTES:
        raise PictureTooLarge
    try:
        return Picture(dict(zip(SIZES, shrink(data, _TASK), strict=True)))
    except ImageRefused as error:
        raise _REFUSALS[error.reason] from error
    except ImageBusy as error:
        raise PictureBusy from error
