"""Photos with orientations, profiles and metadata, as cameras and attackers make them."""

import base64
import io

from PIL import Image, ImageCms

from tests.accounts.preferences.images import saved

RED, GREEN, BLUE, WHITE = (220, 0, 0), (0, 200, 0), (0, 0, 220), (250, 250, 250)
SIZE = (96, 64)
# How Pillow turns an upright image into the one that a camera stores with this orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def corners(size=SIZE):
    """Red and green above, blue and white below."""
    image = Image.new("RGB", size, RED)
    middle = (size[0] // 2, size[1] // 2)
    image.paste(GREEN, (middle[0], 0, size[0], middle[1]))
    image.paste(BLUE, (0, middle[1], middle[0], size[1]))
    image.paste(WHITE, (*middle, *size))
    return image


def exif(orientation=1):
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010F] = "Secret camera"
    data.get_ifd(0x8825)[1] = "N"
    data.get_ifd(0x8825)[2] = (48.0, 51.0, 29.6)
    return data


def turned(orientation, kind="JPEG"):
    """An image that is upright only with its orientation applied."""
    image = corners()
    if STORED[orientation] is not None:
        image = image.transpose(STORED[orientation])
    return saved(image, kind, exif=exif(orientation))


def seen_corners(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    at_x, at_y = image.width // 4, image.height // 4
    places = [(x, y) for y in (at_y, 3 * at_y) for x in (at_x, 3 * at_x)]
    return [_nearest(image.getpixel(place)) for place in places]


def _nearest(colour):
    return min(
        (RED, GREEN, BLUE, WHITE),
        key=lambda known: sum((a - b) ** 2 for a, b in zip(known, colour, strict=True)),
    )


UPRIGHT = [RED, GREEN, BLUE, WHITE]


def with_swapped_profile():
    """A red image whose profile says that its first channel is blue."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(srgb[128:132], "big")
    entries = {bytes(srgb[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    srgb[red : red + 4], srgb[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return saved(Image.new("RGB", (60, 40), (255, 0, 0)), "PNG", icc_profile=bytes(srgb))


# Red above and blue below, stored on its side (64 x 48), with the camera's name and a place. The
# library reads this format, but does not write it.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAbRtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAA"
    "AAAAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAAB2AABAAAAAAAAACoAAgAAAAACAgABAAAAAAAAAFwAAAA4aWluZgAA"
    "AAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA82lwcn"
    "AAAADTaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroC"
    "QGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAAUaXNwZQ"
    "AAAAAAAABAAAAAQAAAAChjbGFwAAAAQAAAAAEAAAAwAAAAAQAAAAAAAAAC////8AAAAAIAAAAQcGl4aQAAAAADCAgI"
    "AAAACWlyb3QDAAAAGGlwbWEAAAAAAAAAAQABBYECBIOFAAAAGmlyZWYAAAAAAAAADmNkc2MAAgABAAEAAACObWRhdA"
    "AAACYoAa9Y+RLd/98j/5LkhtJkvHMNT/PNC6nifjZramm6hWHuSV1BwAAAAAZFeGlmAABNTQAqAAAACAADAQ8AAgAA"
    "AA4AAAAyARIAAwAAAAEABgAAiCUABAAAAAEAAABAAAAAAFNlY3JldCBjYW1lcmEAAAEAAQACAAAAAk4AAAAAAAAA"
)
