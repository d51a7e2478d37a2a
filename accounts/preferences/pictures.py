"""A person's picture: what is uploaded is decoded, cut to a square, and written anew.

Only pixels survive: no metadata, no colour profile, nothing that was hidden in or behind the file.
What would cost too much to open is refused before it is opened: by its bytes, by the number of
pixels it declares, and when it moves. It is opened by another process
(accounts/preferences/image_process.py).

Where the result is kept is in accounts/preferences/picture_files.py.
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
    """Decode and write anew. Raises a PictureRefused. Slow: never in the event loop."""
    if len(data) > MAX_UPLOAD_BYTES:
        raise PictureTooLarge
    try:
        return Picture(dict(zip(SIZES, shrink(data, _TASK), strict=True)))
    except ImageRefused as error:
        raise _REFUSALS[error.reason] from error
    except ImageBusy as error:
        raise PictureBusy from error
