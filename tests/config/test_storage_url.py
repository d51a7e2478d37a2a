"""HOLDFAST_STORAGE_URL: a folder, a bucket, or a sentence that says what is wrong."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.storage_url import file_storage

BUCKET = "config.bucket_storage.BucketStorage"


def test_without_it_files_are_in_a_folder():
    assert file_storage(" ", "", "") == {"BACKEND": "config.folder_storage.FolderStorage"}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (
            "s3://files?region=eu-central-1",
            {"bucket_name": "files", "region_name": "eu-central-1", "endpoint_url": None},
        ),
        (
            "s3://my.files/a/b/?endpoint=https%3A%2F%2Fs3.example.org",
            {"location": "a/b", "endpoint_url": "https://s3.example.org"},
        ),
        (
            "s3://files?endpoint=http://127.0.0.1:9000/&region=auto",
            {"location": "", "endpoint_url": "http://127.0.0.1:9000", "region_name": "auto"},
        ),
        ("s3://files?endpoint=https://x.example.org/storage/v1/s3", {"region_name": "us-east-1"}),
    ],
)
def test_a_bucket(url, options):
    found = file_storage(url, "id", "secret")
    assert found["BACKEND"] == BUCKET
    assert options.items() <= found["OPTIONS"].items()
    assert found["OPTIONS"]["secret_key"] == "secret"


def test_without_keys_those_of_the_machine_are_used():
    assert not {"access_key", "secret_key"} & set(
        file_storage("s3://files?region=x", "", "")["OPTIONS"]
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("files", "begin with s3://"),
        ("https://s3.example.org/files", "begin with s3://"),
        ("s3://", "name of a bucket"),
        ("s3://Files?region=x", "name of a bucket"),
        ("s3://[files?region=x", "cannot be read"),
        ("s3://key:hidden@files?region=x", "HOLDFAST_STORAGE_KEY_ID"),
        ("s3://files", "needs a region"),
        ("s3://files?region=", "its region"),
        ("s3://files?region=x&secret=hidden", "each once"),
        ("s3://files?region=x&region=y", "each once"),
        ("s3://files?region", "cannot be read"),
        ("s3://files/a/../b?region=x", "its folder"),
        ("s3://files/a b?region=x", "its folder"),
        ("s3://files?endpoint=s3.example.org", "its endpoint"),
        ("s3://files?endpoint=https://id:hidden@s3.example.org", "its endpoint"),
        ("s3://files?endpoint=https://s3.example.org:x", "its endpoint"),
    ],
)
def test_what_is_wrong_is_said_without_secrets(url, reason):
    with pytest.raises(ImproperlyConfigured, match=reason) as raised:
        file_storage(url, "", "")
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(("key_id", "secret_key"), [("id", ""), ("", "secret")])
def test_one_key_alone_is_refused(key_id, secret_key):
    with pytest.raises(ImproperlyConfigured, match="belong together"):
        file_storage("s3://files?region=x", key_id, secret_key)
