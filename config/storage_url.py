"""Reads HOLDFAST_STORAGE_URL: where the files of people are kept."""

import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

NAME = "HOLDFAST_STORAGE_URL"
EXAMPLE = "s3://bucket/folder?region=eu-central-1&endpoint=https://s3.example.org"
# What a service other than Amazon's usually accepts.
USUAL_REGION = "us-east-1"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_FOLDER = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_REGION = re.compile(r"[a-z0-9-]+")


def file_storage(url: str, key_id: str, secret_key: str) -> dict[str, Any]:
    """The default storage in Django's form (STORAGES): without an address, the folder `files` of
    the data folder. Raises ImproperlyConfigured with one line that names the remedy."""
    if not url.strip():
        return {"BACKEND": "config.folder_storage.FolderStorage"}
    options = _options(url.strip())
    if bool(key_id) != bool(secret_key):
        raise ImproperlyConfigured(
            "HOLDFAST_STORAGE_KEY_ID and HOLDFAST_STORAGE_SECRET_KEY belong together: set both, or "
            "neither to use the rights of this machine."
        )
    if key_id:
        # Nothing from AWS_... in the environment is mixed with them.
        options |= {"access_key": key_id, "secret_key": secret_key}
        options |= {"security_token": None, "session_profile": None}
    return {"BACKEND": "config.bucket_storage.BucketStorage", "OPTIONS": options}


def _options(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise _wrong("it cannot be read") from error
    if "@" in parts.netloc:  # Not the value itself: it may hold a key.
        raise _wrong(
            "it has no user and password: set HOLDFAST_STORAGE_KEY_ID and "
            "HOLDFAST_STORAGE_SECRET_KEY instead"
        )
    if parts.scheme != "s3" or parts.fragment or not _BUCKET.fullmatch(parts.netloc):
        raise _wrong("it must begin with s3:// and the name of a bucket")
    query = dict(given)
    if len(query) != len(given) or not set(query) <= {"region", "endpoint"}:
        raise _wrong("after the question mark it has “region” and “endpoint”, each once")
    endpoint, region = query.get("endpoint"), query.get("region")
    if endpoint is not None:
        _check_endpoint(endpoint)
    if region is None and endpoint is None:
        raise _wrong("it needs a region, or the endpoint of a service other than Amazon's")
    if region is not None and not _REGION.fullmatch(region):
        raise _wrong("its region must be a name such as eu-central-1")
    return {
        "bucket_name": parts.netloc,
        "location": _folder(parts),
        "region_name": region or USUAL_REGION,
        "endpoint_url": endpoint and endpoint.rstrip("/"),
    }


def _folder(parts: SplitResult) -> str:
    folder = unquote(parts.path).strip("/")
    if folder and (not _FOLDER.fullmatch(folder) or {".", ".."} & set(folder.split("/"))):
        raise _wrong("its folder must be of letters, digits and - _ .")
    return folder


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"[!-~]+", endpoint) or re.search(r"[?#@\\]", endpoint):
        raise _wrong("its endpoint must be an address such as https://s3.example.org")


def _wrong(reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{NAME} must look like {EXAMPLE}, but {reason}.")
