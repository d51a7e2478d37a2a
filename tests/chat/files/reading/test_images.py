"""Images: upright, without metadata, in sRGB, within their bounds."""

import io

import pytest
from PIL import Image

from chat.files.reading import reader
from tests.accounts.preferences.images import (
    animated,
    jpeg_of,
    plain,
    png_of,
    polyglot,
    saved,
    text_bomb,
    webp_bomb,
)
from tests.chat.files.reading.images import (
    HEIC,
    UPRIGHT,
    corners,
    exif,
    seen_corners,
    turned,
    with_swapped_profile,
)

NAMES = ("view", "model")


def opened(found, name):
    return Image.open(io.BytesIO(found.renditions[name].read_bytes()))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_each_kind_is_recognised_by_its_bytes(read, kind):
    found = read(plain(kind, size=(300, 200)), "holiday.exe")
    assert (found.kind, found.type) == ("image", f"image/{kind.lower()}")
    assert (found.width, found.height, found.is_cut) == (300, 200, False)
    assert (found.pages, found.chars) == (None, None)
    assert set(found.renditions) == {"view", "model"}
    assert opened(found, "view").format == "WEBP"
    assert opened(found, "model").format in ("JPEG", "PNG")
    for name in NAMES:
        red, green, blue = opened(found, name).convert("RGB").getpixel((100, 100))
        assert red > 150 > 80 > green and blue < 80


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(read_here, orientation, kind):
    found = read_here(turned(orientation, kind))
    assert (found.width, found.height) == (96, 64)
    for data in (found.thumb, *(path.read_bytes() for path in found.renditions.values())):
        assert seen_corners(data) == UPRIGHT
        assert b"Secret camera" not in data and b"Exif" not in data and b"EXIF" not in data
        assert not Image.open(io.BytesIO(data)).getexif()


def test_heic_is_read_upright_and_its_place_is_gone(read):
    assert b"Secret camera" in HEIC
    found = read(HEIC)
    assert (found.type, found.width, found.height) == ("image/heic", 48, 64)
    for data in (found.thumb, *(path.read_bytes() for path in found.renditions.values())):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        left, right = image.getpixel((6, 32)), image.getpixel((42, 32))
        assert image.size == (48, 64) and left[2] > 150 > left[0] and right[0] > 150 > right[2]
        assert b"Secret camera" not in data and not image.getexif()


def test_colours_are_converted_before_the_profile_goes(read_here):
    found = read_here(with_swapped_profile())
    for name in NAMES:
        image = opened(found, name)
        red, _, blue = image.convert("RGB").getpixel((10, 10))
        assert blue > 200 and red < 60
        assert "icc_profile" not in image.info


def test_a_broken_profile_is_ignored(read_here):
    found = read_here(plain(icc_profile=b"no profile" * 20))
    assert opened(found, "view").convert("RGB").getpixel((9, 9))[0] > 150


def test_transparency_is_kept(read_here):
    half = Image.new("RGBA", (80, 40), (200, 0, 0, 255))
    half.paste((0, 0, 0, 0), (40, 0, 80, 40))
    for kind in ("PNG", "WEBP"):
        found = read_here(saved(half, kind))
        assert opened(found, "model").format == "PNG"
        for name in NAMES:
            image = opened(found, name).convert("RGBA")
            assert (image.getpixel((10, 20))[3], image.getpixel((70, 20))[3]) == (255, 0)
    noise = Image.effect_noise((90, 90), 90).convert("RGBA")  # A JPEG would be smaller.
    noise.putpixel((0, 0), (0, 0, 0, 0))
    assert opened(read_here(saved(noise, "PNG")), "model").format == "PNG"
    opaque = read_here(saved(Image.effect_noise((64, 64), 90).convert("RGBA"), "PNG"))
    assert opened(opaque, "model").mode != "RGBA"


def test_a_drawing_stays_sharp_and_a_photo_small(read_here):
    drawing = read_here(plain("PNG", size=(600, 400)))
    assert opened(drawing, "model").format == "PNG"
    photo = read_here(saved(Image.effect_noise((300, 300), 90).convert("RGB"), "PNG"))
    assert opened(photo, "model").format == "JPEG"


def test_what_is_too_large_with_transparency_becomes_white_where_it_was(read_here):
    noise = Image.effect_noise((300, 300), 90).convert("RGBA")
    noise.paste((9, 9, 9, 0), (0, 0, 100, 100))
    found = read_here(saved(noise, "PNG"), rendition_bytes=40_000)
    assert opened(found, "model").format == "JPEG"
    assert min(opened(found, "model").getpixel((40, 40))) > 230
    assert all(path.stat().st_size <= 40_000 for path in found.renditions.values())


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_taken(read_here, kind):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ((0, 200, 0), (200, 0, 0))]
    moving = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    found = read_here(moving)
    red, green, _ = opened(found, "view").convert("RGB").getpixel((16, 16))
    assert green > 150 and red < 60
    assert found.type == f"image/{kind.lower()}"
    assert read_here(animated("GIF", 30)).width == 32


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK"])
@pytest.mark.parametrize("size", [(20, 30), (2_000, 30)])
def test_every_way_to_write_colours_is_read(read_here, mode, size):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    found = read_here(saved(Image.new(mode, size), kind))
    assert (found.width, found.height) == size
    assert max(opened(found, "view").size) == min(max(size), 1_600)


def test_sixteen_bits_are_scaled_and_not_cut_off(read_here):
    gray = saved(Image.new("I;16", (20, 20), 128 * 257), "PNG")
    level = opened(read_here(gray), "view").convert("L").getpixel((9, 9))
    assert 120 < level < 136


def test_sizes_of_what_is_large(read_here):
    noise = Image.effect_noise((2_000, 500), 120).convert("RGB")
    found = read_here(saved(noise, "JPEG", quality=95))
    assert opened(found, "view").size == (1_600, 400)
    assert opened(found, "model").size == (1_568, 392)
    assert all(path.stat().st_size <= 1_500_000 for path in found.renditions.values())
    thumb = Image.open(io.BytesIO(found.thumb))
    assert thumb.format == "WEBP" and max(thumb.size) == 256 and len(found.thumb) <= 8_000
    less = read_here(saved(noise, "JPEG"), thumb_bytes=700, rendition_bytes=9_000)
    assert len(less.thumb) <= 700
    assert all(path.stat().st_size <= 9_000 for path in less.renditions.values())


def test_a_line_of_pixels_stays_one(read_here):
    found = read_here(plain("PNG", size=(5_000, 1)))
    assert opened(found, "view").size == (1_600, 1)


REFUSED = {
    "declared-bomb": (png_of(50_000, 50_000), "too_many_pixels"),
    "just-too-many": (png_of(50_001, 1_000), "too_many_pixels"),
    "jpeg-bomb": (jpeg_of(65_000, 65_000), "too_many_pixels"),
    "text-bomb": (text_bomb, "damaged"),
    "empty-png": (png_of(10, 10), "damaged"),
    "cut-jpeg": (lambda: plain("JPEG", size=(600, 600))[:-900], "damaged"),
    "cut-png": (lambda: plain("PNG")[:60], "damaged"),
    "cut-webp": (lambda: plain("WEBP")[:-40], "damaged"),
    "cut-avif": (lambda: plain("AVIF")[:-40], "damaged"),
    "cut-heic": (HEIC[:-130], "damaged"),
    "head-of-gif": (b"GIF89a", "damaged"),
    "script-in-gif": (b"GIF89a=1;alert(document.cookie)//", "damaged"),
    "tiff": (lambda: plain("TIFF"), "kind"),
    "bmp": (lambda: plain("BMP"), "kind"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_good_is_refused(read, refused, into, data, reason):
    assert refused(read, data() if callable(data) else data) == reason


def test_a_small_file_that_decodes_to_a_gigabyte_stays_within_its_memory(read):
    found = read(webp_bomb())
    assert found.width * found.height > 39_000_000


def test_behind_an_image_nothing_survives(read_here):
    found = read_here(polyglot())
    assert found.type == "image/gif"
    for path in found.renditions.values():
        assert b"script" not in path.read_bytes() and b"secret" not in path.read_bytes()


def test_more_bytes_than_an_image_may_have(read_here, refused):
    data = plain("PNG")
    assert refused(read_here, data, image_bytes=len(data) - 1) == "too_large"
    assert read_here(data, image_bytes=len(data)).width == 300


def test_the_bounds_are_those_of_the_issue():
    bounds = reader.BOUNDS
    assert (bounds.image_bytes, bounds.document_bytes, bounds.text_bytes) == (20e6, 32e6, 5e6)
    assert (bounds.pixels, bounds.pages, bounds.zip_entries) == (50e6, 500, 5_000)
    assert (bounds.inflated_bytes, bounds.chars, bounds.rendered_pages) == (200e6, 1e6, 20)
    assert (bounds.thumb_bytes, bounds.rendition_bytes) == (8_000, 1_500_000)


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        ("WEBP", b"Exif\0\0garbage garbage"),  # Pillow raises a SyntaxError.
        ("JPEG", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x01abcd"),  # A text.
        ("JPEG", b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    ],
)
def test_damaged_metadata_refuses_no_image(read, kind, metadata):
    found = read(saved(corners(), kind, exif=metadata))
    assert seen_corners(found.thumb) == UPRIGHT


def test_comments_are_gone(read_here):
    found = read_here(saved(corners(), "JPEG", exif=exif(), comment=b"Secret comment"))
    for path in found.renditions.values():
        assert b"Secret" not in path.read_bytes()
