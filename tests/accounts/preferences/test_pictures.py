"""Pictures: decoding uploads, refusing them, access, and deletion."""

import contextlib
import io
from http import HTTPStatus
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from accounts import errors, personal_data_registry
from accounts.models import Preferences, User
from accounts.preferences.image_process import MAX_PIXELS
from accounts.preferences.pictures import read_picture
from accounts.preferences.store import change_picture
from accounts.preferences.uploads import MAX_UPLOAD_BYTES
from tests.accounts.preferences import images
from tests.buckets.storages import stored_names
from tests.examples import examples

API = "/api/settings/picture"


# Decoding


def opened(picture, size=256):
    return Image.open(io.BytesIO(picture.files[size]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_known_kind_becomes_two_squares(kind):
    picture = read_picture(images.plain(kind))
    for size in (256, 64):
        image = opened(picture, size)
        assert (image.format, image.size) == ("WEBP", (size, size))
    red, green, blue = opened(picture).convert("RGB").getpixel((128, 128))
    assert red > 150 > 80 > green and blue < 80


def test_a_picture_held_sideways_stands_upright():
    image = opened(read_picture(images.rotated())).convert("RGB")
    left, right = image.getpixel((40, 128)), image.getpixel((216, 128))
    assert left[2] > 150 and right[0] > 150  # Turned to the right: blue left, red right.


def test_nothing_but_pixels_survives():
    sent = images.rotated()
    assert b"Secret camera" in sent
    for data in read_picture(sent).files.values():
        assert b"Secret camera" not in data and b"EXIF" not in data and b"ICCP" not in data
    for data in read_picture(images.polyglot()).files.values():
        assert b"script" not in data and b"PK\x03\x04" not in data


def test_transparency_is_kept():
    clear = images.saved(Image.new("RGBA", (50, 50), (0, 0, 0, 0)), "PNG")
    assert opened(read_picture(clear)).convert("RGBA").getpixel((9, 9))[3] == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK"])
def test_every_way_to_write_colours_is_read(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert opened(read_picture(images.saved(Image.new(mode, (20, 30)), kind))).size == (256, 256)


# Refusals

CUT = images.plain("JPEG", size=(600, 600))
MOST = MAX_PIXELS["PNG"]
REFUSED = {
    "declared-bomb": (images.png_of(50_000, 50_000), errors.PictureTooManyPixels),
    "just-too-many": (images.png_of(MOST // 1000 + 1, 1000), errors.PictureTooManyPixels),
    "twice-too-many": (images.png_of(4 * MOST // 1000, 1200), errors.PictureTooManyPixels),
    "webp-bomb": (images.webp_bomb(), errors.PictureTooManyPixels),
    "jpeg-bomb": (images.jpeg_of(65_000, 65_000), errors.PictureTooManyPixels),
    "text-bomb": (images.text_bomb, errors.PictureDamaged),
    "moving-gif": (images.animated("GIF", 200), errors.PictureAnimated),
    "moving-webp": (images.animated("WEBP"), errors.PictureAnimated),
    "moving-png": (images.animated("PNG"), errors.PictureAnimated),
    "cut-jpeg": (CUT[: len(CUT) // 2], errors.PictureDamaged),
    "cut-png": (images.plain("PNG")[:60], errors.PictureDamaged),
    "empty-png": (images.png_of(10, 10), errors.PictureDamaged),
    "svg": (images.SVG, errors.PictureKind),
    "html": (b"<html><script>alert(1)</script></html>", errors.PictureKind),
    "tiff": (images.plain("TIFF"), errors.PictureKind),
    "bmp": (images.plain("BMP"), errors.PictureKind),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", errors.PictureKind),
    "nothing": (b"", errors.PictureKind),
    "too-large": (b"\0" * (MAX_UPLOAD_BYTES + 1), errors.PictureTooLarge),
}


@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_a_picture_is_refused(data, error):
    picture = data() if callable(data) else data
    with pytest.raises(errors.PictureRefused) as refused:
        read_picture(picture)
    assert type(refused.value) is error
    assert refused.value.message.endswith(".")


WHOLE = [images.plain(kind, size=(40, 30)) for kind in ("PNG", "JPEG", "WEBP", "GIF")]


@given(
    whole=st.sampled_from(WHOLE),
    at=st.floats(0, 1),
    junk=st.binary(max_size=20),
    cut=st.booleans(),
)
@hypothesis_settings(deadline=None, max_examples=examples(25))
def test_a_broken_picture_is_read_or_refused_and_nothing_else(whole, at, junk, cut):
    here = int(at * len(whole))
    data = whole[:here] + junk + (b"" if cut else whole[here + len(junk) :])
    with contextlib.suppress(errors.PictureRefused):
        assert opened(read_picture(data)).size == (256, 256)


# The API


def send(client, data, name="me.png", path=API, **fields):
    return client.post(path, fields | {"picture": SimpleUploadedFile(name, data)})


def stored():
    root = Path(django_settings.MEDIA_ROOT)
    return sorted(path for path in root.rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "files"


@pytest.mark.django_db(transaction=True)
def test_it_is_stored_and_its_owner_sees_it(signed_in, redis_url):
    answer = send(signed_in, images.plain("JPEG"))
    assert answer.status_code == HTTPStatus.OK, answer.content
    addresses = answer.json()["settings"]["picture"]
    for size in (256, 64):
        seen = signed_in.get(addresses[str(size)])
        assert seen["Content-Type"] == "image/webp"
        assert seen["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in seen["Cache-Control"] and "private" in seen["Cache-Control"]
        assert Image.open(io.BytesIO(seen.content)).size == (size, size)
    assert len(stored()) == 2
    page = signed_in.get("/settings").content.decode()
    assert addresses["256"] in page


@pytest.mark.django_db(transaction=True)
def test_nobody_else_sees_it(signed_in, redis_url):
    answer = send(signed_in, images.plain())
    assert answer.status_code == HTTPStatus.OK, answer.content
    addresses = answer.json()["settings"]["picture"]
    bob = Client()
    bob.force_login(User.objects.create_user("bob@example.org", "x"))
    for client in (Client(), bob):
        for address in addresses.values():
            assert client.get(address).status_code == HTTPStatus.NOT_FOUND
    name = addresses["64"].removeprefix("/pictures/").removesuffix("-64")
    owner = User.objects.get(email="alice@example.org")
    for guess in (
        f"/pictures/{name}-65",
        f"/pictures/{name}",
        f"/files/pictures/{owner.id.hex}/{name}-64.webp",
        f"/media/pictures/{owner.id.hex}/{name}-64.webp",
        f"/static/pictures/{owner.id.hex}/{name}-64.webp",
        "/pictures/../../db.sqlite3-64",
    ):
        assert signed_in.get(guess).status_code == HTTPStatus.NOT_FOUND, guess


@pytest.mark.django_db(transaction=True)
def test_a_new_one_replaces_the_old_one_and_its_files(signed_in, redis_url):
    first = send(signed_in, images.plain()).json()["settings"]["picture"]
    second = send(signed_in, images.plain(colour=(0, 200, 0))).json()["settings"]["picture"]
    assert first != second and len(stored()) == 2
    assert signed_in.get(first["64"]).status_code == HTTPStatus.NOT_FOUND
    assert signed_in.get(second["64"]).status_code == HTTPStatus.OK
    answer = signed_in.delete(API)
    assert answer.json()["settings"]["picture"] is None and stored() == []
    assert signed_in.delete(API).status_code == HTTPStatus.OK  # Repeating it changes nothing.
    assert signed_in.get(second["64"]).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_it_may_be_in_a_bucket(signed_in, alice, redis_url, bucket):
    first = send(signed_in, images.plain()).json()["settings"]["picture"]
    second = send(signed_in, images.plain(colour=(0, 200, 0))).json()["settings"]["picture"]
    assert len(stored_names("pictures")) == 2
    seen = signed_in.get(second["64"])
    assert Image.open(io.BytesIO(seen.content)).size == (64, 64)
    assert signed_in.get(first["64"]).status_code == HTTPStatus.NOT_FOUND
    [pictures] = [data for data in personal_data_registry.registered() if data.name == "pictures"]
    async_to_sync(pictures.erase)(alice)
    assert stored_names() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("why", ["svg", "declared-bomb", "moving-gif", "cut-png"])
def test_a_refusal_changes_nothing_and_says_why(signed_in, redis_url, why):
    data, error = REFUSED[why]
    kept = send(signed_in, images.plain()).json()["settings"]["picture"]
    answer = send(signed_in, data)
    assert answer.status_code == error.status
    assert answer.json()["error"] == {"code": error.code, "message": error.message}
    assert signed_in.get("/api/settings").json()["settings"]["picture"] == kept
    assert len(stored()) == 2
    page = send(signed_in, data, path="/settings", panel="picture")
    assert page.status_code == error.status and error.message in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_page_of_somebody_else_changes_no_picture(signed_in, redis_url, guest):
    kept = send(signed_in, images.plain()).json()["settings"]["picture"]
    path = f"{API}?person={guest.id}"
    for answer in (send(signed_in, images.plain("JPEG"), path=path), signed_in.delete(path)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "other_person")
    assert kept and signed_in.get("/api/settings").json()["settings"]["picture"] == kept


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_too_large_is_not_taken_in(signed_in, redis_url, settings):
    settings.MEDIA_ROOT.mkdir()
    for path, fields in ((API, {}), ("/settings", {"panel": "picture"})):
        answer = send(signed_in, b"\xff" * (MAX_UPLOAD_BYTES + 10), path=path, **fields)
        assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert "10 MB" in answer.content.decode()
    assert stored() == []
    assert signed_in.post(API).json()["error"]["code"] == "picture_missing"


@pytest.mark.django_db(transaction=True)
def test_no_more_than_the_limit(signed_in, redis_url, settings):
    settings.LIMIT_UPLOADS_PER_HOUR_USER = 2
    codes = [send(signed_in, images.plain()).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    page = send(signed_in, images.plain(), path="/settings", panel="picture")
    assert page.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert 0 < int(page["Retry-After"]) <= 3600
    assert "too often" in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_files_whose_picture_could_not_be_set_do_not_stay(alice, redis_url):
    picture = read_picture(images.plain())
    User.objects.filter(id=alice.id).update(is_active=False)
    with pytest.raises(errors.NotSignedIn):
        change_picture(alice, picture)
    assert stored() == [] and not Preferences.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_erasing_a_person_deletes_every_file(alice, guest, redis_url):
    picture = read_picture(images.plain())
    change_picture(alice, picture)
    change_picture(guest, picture)
    folder = Path(django_settings.MEDIA_ROOT) / "pictures" / guest.id.hex
    (folder / "left-by-a-crash-256.webp").write_bytes(b"x")
    [pictures] = [data for data in personal_data_registry.registered() if data.name == "pictures"]
    for _ in range(2):
        async_to_sync(pictures.erase)(guest)
    assert not folder.exists()
    assert len(stored()) == 2  # Alice's.
