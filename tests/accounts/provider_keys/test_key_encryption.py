"""Encryption of provider keys: associated data, versions, and permission to decrypt."""

import base64
import subprocess
import sys
import threading
import uuid
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import ProviderKey, User
from accounts.provider_keys import (
    checks as key_checks,
)
from accounts.provider_keys import (
    rotation as key_rotation,
)
from accounts.provider_keys import (
    store as provider_keys,
)
from accounts.provider_keys.encryption import (
    DecryptionRefusedError,
    UnknownVersionError,
    UnreadableKeyError,
    decryption_allowed,
)
from accounts.provider_keys.probe import Verdict
from config.env import GENERATED_KEY_VERSION, key_encryption_keys
from tests.stack import BASE_DIR, clean_environment

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWx"
ONE, TWO = bytes(range(32)), bytes(range(32, 64))
OK = Verdict(ProviderKey.Status.OK, [{"id": "gpt-4o-mini"}])


@pytest.fixture
def bob(db):
    return User.objects.create_user("bob@example.org", "correct horse")


@pytest.fixture(autouse=True)
def first_version(settings):
    settings.KEY_ENCRYPTION_KEYS = {1: ONE}


def saved(owner, provider="openai", key=KEY, **fields):
    return provider_keys.save(owner, provider, key, OK, **fields)


def read(row):
    with decryption_allowed():
        return provider_keys.reveal(ProviderKey.objects.get(id=row.id))


def move(row, **changes):
    """Copy a ciphertext to another row, as somebody with access to the database could."""
    ProviderKey.objects.filter(id=row.id).update(**changes)


# Associated data


def test_it_comes_back_as_it_was(alice):
    row = saved(alice)
    assert read(row) == KEY
    assert row.last_four == KEY[-4:]
    assert KEY.encode() not in bytes(row.ciphertext)


def test_the_same_key_is_encrypted_differently_each_time(alice, bob):
    rows = [saved(alice), saved(bob)]
    assert len({bytes(row.nonce) for row in rows}) == 2
    assert {len(row.nonce) for row in rows} == {12}
    assert len({bytes(row.ciphertext) for row in rows}) == 2


@pytest.mark.parametrize(
    "what", ["person", "provider", "row", "address", "nonce", "bit", "version"]
)
def test_moved_or_changed_it_does_not_decrypt(alice, bob, settings, what):
    settings.KEY_ENCRYPTION_KEYS = {1: ONE, 2: TWO}
    url = {"label": "Lab", "base_url": "https://llm.example.org/v1"}
    row, other = saved(alice, "custom", **url), saved(bob, "custom", **url)
    again = saved(alice, "custom", **url)
    stored = ProviderKey.objects.get(id=row.id)
    content = {"nonce": bytes(stored.nonce), "ciphertext": bytes(stored.ciphertext)}
    match what:
        case "person":
            move(row, owner=bob)
        case "provider":
            move(row, provider="openai")
        case "row":
            move(again, **content)
            row = again
        case "address":
            move(row, base_url="https://evil.example.org/v1")
        case "nonce":
            move(row, nonce=bytes(other.nonce))
        case "bit":
            broken = bytearray(content["ciphertext"])
            broken[0] ^= 1
            move(row, ciphertext=bytes(broken))
        case "version":
            move(row, key_version=2)
    with pytest.raises(UnreadableKeyError):
        read(row)


def test_a_ciphertext_of_another_person_does_not_decrypt(alice, bob):
    mine, theirs = saved(alice), saved(bob)
    taken = ProviderKey.objects.get(id=mine.id)
    move(theirs, nonce=bytes(taken.nonce), ciphertext=bytes(taken.ciphertext))
    with pytest.raises(UnreadableKeyError):
        read(theirs)


# Permission to decrypt


def test_decryption_must_be_allowed_first(alice):
    row = saved(alice)
    with pytest.raises(DecryptionRefusedError):
        provider_keys.reveal(row)
    with decryption_allowed(), decryption_allowed():
        assert provider_keys.reveal(row) == KEY
    with pytest.raises(DecryptionRefusedError):
        provider_keys.reveal(row)


def test_a_web_process_may_not_decrypt(tmp_path):
    """Nothing that a web process imports allows decryption."""
    code = (
        "import django; django.setup(); import config.asgi, config.urls; "
        "from accounts.provider_keys import encryption as k; "
        "k.decrypt(k.encrypt('secret', b'x'), b'x')"
    )
    env = clean_environment(HOLDFAST_DATA=str(tmp_path), DJANGO_SETTINGS_MODULE="config.settings")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=BASE_DIR, env=env, capture_output=True, text=True)
    assert "DecryptionRefusedError" in done.stderr


# Reading the encryption keys


def test_they_are_read_in_their_order(tmp_path):
    one, two = (base64.b64encode(key).decode() for key in (ONE, TWO))
    keys = key_encryption_keys(f"2:{two}, 1:{one}", tmp_path / "none")
    assert list(keys.items()) == [(2, TWO), (1, ONE)]
    url_safe = base64.urlsafe_b64encode(bytes([251] * 32)).decode()
    assert key_encryption_keys(f"7:{url_safe}", tmp_path / "none") == {7: bytes([251] * 32)}
    assert not list(tmp_path.iterdir())


def test_without_any_a_key_is_generated_and_kept(tmp_path):
    path = tmp_path / "key-encryption-key"
    made = key_encryption_keys("", path)
    assert list(made) == [GENERATED_KEY_VERSION] == [0]
    assert made == key_encryption_keys(" ", path)
    assert path.stat().st_mode & 0o777 == 0o600
    later = key_encryption_keys(f"1:{base64.b64encode(ONE).decode()}", path)
    assert list(later) == [1, 0] and later[0] == made[0]


@pytest.mark.parametrize("value", [
    "SECRETSECRETSECRET", "x:SECRETSECRETSECRET", "0:SECRETSECRETSECRET", "1:SECRETSECRETSECRET",
    "1:" + base64.b64encode(ONE[:16]).decode(), "1:" + base64.b64encode(ONE).decode() + ",",
    ",".join(["1:" + base64.b64encode(ONE).decode()] * 2),
    "1:" + base64.b64encode(ONE * 2).decode(),
])  # fmt: skip
def test_errors_about_encryption_keys_do_not_quote_them(tmp_path, value):
    with pytest.raises(ImproperlyConfigured) as error:
        key_encryption_keys(value, tmp_path / "none")
    assert "HOLDFAST_KEY_ENCRYPTION_KEYS" in str(error.value)
    for part in ("SECRET", base64.b64encode(ONE).decode()[:12]):
        assert part not in str(error.value)


# Rotation


def rotate_keys(*arguments):
    out = StringIO()
    try:
        call_command("rotate_keys", *arguments, stdout=out)
    except SystemExit as end:
        return out.getvalue(), end.code
    return out.getvalue(), 0


@pytest.fixture
def ten(db, monkeypatch):
    monkeypatch.setattr(key_rotation, "BATCH", 3)
    people = [User.objects.create_user(f"p{n}@example.org", "x") for n in range(10)]
    return [saved(person, key=f"{KEY}{n}") for n, person in enumerate(people)]


def all_readable(rows, version):
    for n, row in enumerate(rows):
        assert read(row) == f"{KEY}{n}"
        assert ProviderKey.objects.get(id=row.id).key_version == version


def test_everything_is_encrypted_with_the_newest(ten, settings):
    settings.KEY_ENCRYPTION_KEYS = {2: TWO, 1: ONE}
    all_readable(ten, 1)
    said, status = rotate_keys("--check")
    assert "version 1: 10 keys" in said and "10 keys are to be" in said and status == 1
    all_readable(ten, 1)
    said, status = rotate_keys()
    assert "10 keys are now encrypted with version 2" in said and status == 0
    settings.KEY_ENCRYPTION_KEYS = {2: TWO}
    all_readable(ten, 2)
    said, status = rotate_keys("--check")
    assert said.startswith("version 2: 10 keys\n0 keys are to be") and status == 0
    assert "0 keys are now" in rotate_keys()[0]
    assert ProviderKey.objects.get(id=ten[0].id).model_list == OK.models


def test_what_was_interrupted_goes_on(ten, settings, monkeypatch):
    settings.KEY_ENCRYPTION_KEYS = {2: TWO, 1: ONE}
    real, calls = provider_keys.reencrypt, []

    def dying(row):
        calls.append(row.id)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(row)

    monkeypatch.setattr(provider_keys, "reencrypt", dying)
    with pytest.raises(KeyboardInterrupt):
        rotate_keys()
    assert provider_keys.versions_stored() == {1: 6, 2: 4}
    monkeypatch.setattr(provider_keys, "reencrypt", real)
    assert "6 keys are now" in rotate_keys()[0]
    all_readable(ten, 2)


def test_a_key_that_is_replaced_or_removed_meanwhile_stays_so(ten, settings, monkeypatch):
    settings.KEY_ENCRYPTION_KEYS = {2: TWO, 1: ONE}
    real = provider_keys.reencrypt
    replaced, removed = sorted(ten, key=lambda row: row.id)[:2]

    def meanwhile(row):
        if row.id == replaced.id:
            provider_keys.save(row.owner, "openai", "sk-a-new-key-of-theirs", OK, replaces=replaced)
        elif row.id == removed.id:
            provider_keys.remove(removed)
        return real(row)

    monkeypatch.setattr(provider_keys, "reencrypt", meanwhile)
    assert "8 keys are now" in rotate_keys()[0]
    assert read(replaced) == "sk-a-new-key-of-theirs"
    assert not ProviderKey.objects.filter(id=removed.id).exists()
    assert provider_keys.versions_stored() == {2: 9}


@pytest.mark.skipif("sqlite" in connection.vendor, reason="one writer at a time")
def test_two_rotations_at_once_do_each_once(ten, settings):
    settings.KEY_ENCRYPTION_KEYS = {2: TWO, 1: ONE}
    done = []

    def rotate():
        done.append(key_rotation.rotate())
        connection.close()

    threads = [threading.Thread(target=rotate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(done) == 10
    all_readable(ten, 2)


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_missing_version_is_said_before_anything_is_done(ten, settings, arguments):
    settings.KEY_ENCRYPTION_KEYS = {2: TWO}
    with pytest.raises(CommandError, match=r"lacks versions .*: 1 \(10 keys\)"):
        rotate_keys(*arguments)
    assert provider_keys.versions_stored() == {1: 10}
    with pytest.raises(UnknownVersionError):
        read(ten[0])


def test_an_unreadable_key_holds_up_no_other(ten, settings):
    settings.KEY_ENCRYPTION_KEYS = {2: TWO, 1: ONE}
    move(ten[4], nonce=b"x" * 12)
    with pytest.raises(CommandError, match=f"9 keys were .*1 cannot be read.*{ten[4].id}"):
        rotate_keys()
    assert provider_keys.versions_stored() == {1: 1, 2: 9}


# Checks


def test_stored_versions_must_have_a_key(ten, settings):
    assert key_checks.key_messages() == []
    settings.KEY_ENCRYPTION_KEYS = {2: TWO}
    [error] = key_checks.key_messages()
    assert error.id == "accounts.E001" and error.is_serious()
    assert "1 (10 keys)" in error.msg and "HOLDFAST_KEY_ENCRYPTION_KEYS" in error.hint


def test_a_generated_key_beside_a_database_elsewhere_is_warned_of(settings):
    settings.KEY_ENCRYPTION_KEYS = {0: ONE}
    settings.DATABASE_URL = ""
    assert key_checks.key_messages() == []
    settings.DATABASE_URL = "postgres://db.example.org/holdfast"
    assert [message.id for message in key_checks.key_messages()] == ["accounts.W001"]
    settings.KEY_ENCRYPTION_KEYS = {1: ONE, 0: TWO}
    assert key_checks.key_messages() == []


def test_the_doctor_reports_unreadable_keys(ten, settings):
    from config.supervise.doctor import _keys

    assert [(f.level, f.text) for f in _keys()] == [("ok", "10 keys of people, all readable")]
    settings.KEY_ENCRYPTION_KEYS = {2: TWO}
    [found] = _keys()
    assert found.level == "problem" and "accounts.E001" in found.text


def test_the_id_of_the_row_is_part_of_the_associated_data():
    row = ProviderKey(id=uuid.uuid4(), owner=User(), provider="openai")
    assert row.id.hex.encode() in provider_keys.belongs_to(row)
