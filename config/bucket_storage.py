"""Files in a bucket of an S3-compatible service: the default storage with HOLDFAST_STORAGE_URL.

It behaves like config/folder_storage.py: `save` overwrites, a missing file is a FileNotFoundError,
every other failure an OSError. An object appears whole or not at all, and survives once `save`
returns. Nothing is ever given an address that people could open: only views that check the user
serve files.

boto3 takes 30 MB and a quarter of a second. This module imports it, and settings name this module
only when there is a bucket; a process pays when it first uses the storage.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from threading import Lock
from typing import IO, Any, NoReturn, cast

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError
from django.core.files import File
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

# Each request: attempts, and the silence after which one has failed.
ATTEMPTS = 3
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
# How often reading an object goes on after its connection broke, without a byte in between.
RESUMES = 2
# Each reader has a connection of its own. Those that are not in use are kept, up to this number.
KEPT_CONNECTIONS = 64
# Larger objects, which only archives are, are written in parts, one after another.
PUT_BYTES = 64 * 2**20
PART_BYTES = 16 * 2**20
_MISSING = ("NoSuchKey", "404")
# The responses to a request that is not signed where that is not allowed. Some services say that
# nothing is there.
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class BucketError(OSError):
    """The bucket did not do what it was asked to."""


class BucketStorage(S3Storage):
    """`save` overwrites, and returns the name that it was given. Threads share one client."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **options,
            client_config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=KEPT_CONNECTIONS,
                # Not every service knows the newer checksums. The signature covers the content.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
            # Without threads: at most one part is in memory.
            transfer_config=TransferConfig(
                multipart_threshold=PUT_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
            ),
        )
        self._lock = Lock()
        self._shared: Any = None

    @property
    def connection(self) -> Any:
        """One for all threads, which use its client alone: boto3's other objects may not be
        shared."""
        with self._lock:
            if self._shared is None:
                self._shared = super().connection
            return self._shared

    @property
    def client(self) -> Any:
        return self.connection.meta.client

    def open_range(self, name: str, first: int, size: int | None) -> IO[bytes]:
        """A file that begins at the byte `first` and has `size` bytes, or all that follow. No other
        bytes are read from the bucket."""
        reader = cast(IO[bytes], _ObjectReader(self, self._key(name), first, size))
        return cast(IO[bytes], File(reader, name))

    def _open(self, name: str, mode: str = "rb") -> IO[bytes]:
        if mode != "rb":
            raise ValueError(f"Files of a bucket are read or saved, not opened as {mode!r}.")
        return self.open_range(name, 0, None)

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        content.seek(0)
        source = _Kept(cast(IO[bytes], content.file))
        with translated_errors(name):
            self.client.upload_fileobj(
                source, self.bucket_name, self._key(name), Config=self.transfer_config
            )
        return str(clean_name(name))

    def delete(self, name: str) -> None:
        try:
            with translated_errors(name):
                self.client.delete_object(Bucket=self.bucket_name, Key=self._key(name))
        except FileNotFoundError:  # Some services say so.
            return

    def exists(self, name: str) -> bool:
        with translated_errors(name):
            return bool(super().exists(name))

    def size(self, name: str) -> int:
        return int(self._head(name)["ContentLength"])

    def get_modified_time(self, name: str) -> datetime:
        modified: datetime = self._head(name)["LastModified"]
        return modified

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """The names of folders and of files. A folder that does not exist is empty."""
        folders, files = [], []
        for page in self._pages(path):
            folders += page.folders
            files += page.files
        return folders, files

    def folders_in(self, path: str) -> Iterator[str]:
        """The names of the folders in a folder, of which there may be millions."""
        for page in self._pages(path):
            yield from page.folders

    def url(self, name: str, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("Files are served by views that check the user.")

    def is_public(self, name: str) -> bool:
        """Whether anybody can read this file: asked without a signature. Raises OSError if the
        bucket does not answer."""
        with self._anonymous() as anonymous:
            try:
                response = anonymous.get_object(Bucket=self.bucket_name, Key=self._key(name))
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in _REFUSALS:
                    return False
                raise _error(error) from error
            except BotoCoreError as error:
                raise _error(error) from error
            response["Body"].close()
            return True

    @contextmanager
    def _anonymous(self) -> Iterator[Any]:
        """A client without keys, for the same address."""
        client = self.client
        config = client.meta.config.merge(Config(signature_version=UNSIGNED))
        anonymous = Session().client("s3", endpoint_url=client.meta.endpoint_url, config=config)
        try:
            yield anonymous
        finally:
            anonymous.close()

    def _key(self, name: str) -> str:
        key: str = self._normalize_name(clean_name(name))
        return key

    def _head(self, name: str) -> dict[str, Any]:
        try:
            with translated_errors(name):
                head: dict[str, Any] = self.client.head_object(
                    Bucket=self.bucket_name, Key=self._key(name)
                )
        except FileNotFoundError:
            self._require_bucket()
            raise
        return head

    def _require_bucket(self) -> None:
        """Raises BucketError. The response to HEAD does not say whether the object is missing or
        the bucket."""
        try:
            with translated_errors(self.bucket_name):
                self.client.head_bucket(Bucket=self.bucket_name)
        except FileNotFoundError as error:
            raise BucketError(f"there is no bucket {self.bucket_name!r}") from error

    def _pages(self, path: str) -> Iterator["_Page"]:
        prefix = self._key(path).rstrip("/")
        prefix = f"{prefix}/" if prefix else ""
        with translated_errors(path):
            paginator = self.client.get_paginator("list_objects_v2")
            pages = paginator.paginate(Bucket=self.bucket_name, Prefix=prefix, Delimiter="/")
            for page in pages:
                yield _Page(page, prefix)


class _Kept:
    """A file of a caller, which boto3 would close."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """The caller closes it."""


class _Page:
    """One response of at most a thousand names."""

    def __init__(self, page: dict[str, Any], prefix: str) -> None:
        start = len(prefix)
        prefixes = [found["Prefix"] for found in page.get("CommonPrefixes", ())]
        self.folders = [name[start:].rstrip("/") for name in prefixes]
        keys = [found["Key"] for found in page.get("Contents", ())]
        self.files = [key[start:] for key in keys if key != prefix]


class _ObjectReader(io.RawIOBase):
    """The bytes of an object, read from its connection as they are asked for, so a slow reader
    holds no more than it takes. A connection that breaks meanwhile is replaced by one that goes on
    from the next byte."""

    def __init__(self, storage: BucketStorage, key: str, first: int, size: int | None) -> None:
        self._storage = storage
        self._key = key
        self._next = first
        self._end = None if size is None else first + size
        self._etag = ""
        self._body: Any = None
        if size != 0:
            self._request()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._next == self._end:
            return 0
        for resumes_left in reversed(range(RESUMES + 1)):
            try:
                if self._body is None:
                    self._request()
                count: int = self._body.readinto(buffer)
            except BotoCoreError as error:
                self._drop()
                if not resumes_left:
                    raise _error(error) from error
            else:
                self._next += count
                return count
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._drop()
        super().close()

    def _request(self) -> None:
        """Ask for the rest. Raises FileNotFoundError and BucketError."""
        is_part = bool(self._next) or self._end is not None
        wanted: dict[str, str] = {}
        if is_part:
            wanted["Range"] = f"bytes={self._next}-{'' if self._end is None else self._end - 1}"
        if self._etag:  # Refused if the name has another content by now.
            wanted["IfMatch"] = self._etag
        with translated_errors(self._key):
            client, bucket = self._storage.client, self._storage.bucket_name
            response = client.get_object(Bucket=bucket, Key=self._key, **wanted)
            self._body = response["Body"]
            if "ContentLength" not in response:  # Its header was cut off.
                self._drop()
                raise IncompleteReadError(actual_bytes=0, expected_bytes=1)
        self._etag = response.get("ETag", "")
        self._end = self._next + int(response["ContentLength"])
        status = response["ResponseMetadata"]["HTTPStatusCode"]
        if is_part and status != HTTPStatus.PARTIAL_CONTENT:
            self._drop()
            raise BucketError(f"the bucket ignores ranges: it answered {status}")

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()


@contextmanager
def translated_errors(name: str) -> Iterator[None]:
    """Raise what a folder would raise."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise FileNotFoundError(f"The bucket has no {name!r}.") from error
        raise _error(error) from error
    except (BotoCoreError, Boto3Error) as error:
        raise _error(error) from error


def _error(error: Exception) -> BucketError:
    return BucketError(" ".join(str(error).split()))
