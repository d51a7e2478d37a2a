"""The bucket storage behaves as the folder storage does, on a server of the S3 protocol."""

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from config import bucket_storage
from config.bucket_storage import BucketError, BucketStorage
from tests.buckets.server import bucket_environment
from tests.stack import BASE_DIR, clean_environment

TEXT = b"The garden has seven apple trees."


@pytest.fixture
def storage(bucket):
    return default_storage


def noted(storage, operation):
    """The requests of one operation from now on."""
    requests = []
    storage.client.meta.events.register(
        f"before-send.s3.{operation}", lambda request, **_: requests.append(request)
    )
    return requests


def test_it_replaces_what_has_the_name(storage):
    for content in (b"one", b"two"):
        source = BytesIO(content)
        assert storage.save("a/b/file", File(source)) == "a/b/file"
        assert not source.closed
    assert isinstance(storage._wrapped, BucketStorage)
    with storage.open("a/b/file") as file:
        assert file.read() == b"two"
    assert storage.listdir("a") == (["b"], [])
    assert storage.listdir("a/b") == ([], ["file"])
    assert (storage.size("a/b/file"), storage.exists("a/b/file")) == (3, True)


def test_two_folders_of_a_bucket_do_not_mix(storage):
    storage.save("file", ContentFile(b"one"))
    whole = through(storage, storage.endpoint_url, location="")
    other = through(storage, storage.endpoint_url, location="other")
    other.save("file", ContentFile(b"two"))
    assert whole.listdir("") == (["holdfast", "other"], [])
    assert list(whole.folders_in("")) == ["holdfast", "other"]
    assert whole.open("other/file").read() == other.open("file").read() == b"two"
    assert (storage.open("file").read(), storage.listdir("")) == (b"one", ([], ["file"]))


def test_a_missing_file_is_missing(storage):
    for ask in (storage.open, storage.size, storage.get_modified_time):
        with pytest.raises(FileNotFoundError):
            ask("nothing")
    assert not storage.exists("nothing")
    assert storage.listdir("nothing") == ([], [])
    for _ in range(2):
        storage.delete("nothing")


def test_a_missing_bucket_is_no_missing_file(storage):
    storage.bucket_name = "another"
    asks = [
        storage.open,
        storage.size,
        storage.listdir,
        lambda name: list(storage.folders_in(name)),
    ]
    for ask in [*asks, lambda name: storage.save(name, ContentFile(b"one"))]:
        with pytest.raises(BucketError):
            ask("file")


@pytest.mark.parametrize("name", ["../file", "/file", "a/../../file"])
def test_a_name_does_not_leave_the_folder(storage, name):
    with pytest.raises(Exception, match="path|Detected"):
        storage.save(name, ContentFile(b"one"))


def test_nobody_gets_an_address(storage):
    storage.save("file", ContentFile(b"one"))
    with pytest.raises(NotImplementedError):
        storage.url("file")


@pytest.mark.parametrize(
    ("first", "size", "header"),
    [(0, 4, "bytes=0-3"), (4, 6, "bytes=4-9"), (4, None, "bytes=4-"), (0, None, None)],
)
def test_only_a_range_is_asked_for(storage, first, size, header):
    storage.save("file", ContentFile(TEXT))
    requests = noted(storage, "GetObject")
    with storage.open_range("file", first, size) as file:
        assert file.read() == TEXT[first:][:size]
    [request] = requests
    assert request.headers.get("Range") == (header and header.encode())


def test_an_empty_file_and_an_empty_range(storage):
    storage.save("empty", ContentFile(b""))
    storage.save("file", ContentFile(TEXT))
    assert storage.open("empty").read() == storage.open_range("file", 3, 0).read() == b""


def test_a_large_folder_is_read_page_by_page(storage):
    for number in range(7):
        storage.save(f"files/{number}/original", ContentFile(b"one"))
        storage.save(f"files/{number}.txt", ContentFile(b"one"))
    storage.client.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": 3}
    )
    requests = noted(storage, "ListObjectsV2")
    folders = storage.folders_in("files")
    assert next(folders) == "0" and len(requests) == 1
    assert [*folders] == [str(number) for number in range(1, 7)]
    assert sorted(storage.listdir("files")[1]) == [f"{number}.txt" for number in range(7)]


def test_an_archive_is_written_in_parts_and_stays_open(storage):
    storage.transfer_config = TransferConfig(
        multipart_threshold=6 * 2**20, multipart_chunksize=5 * 2**20, use_threads=False
    )
    data = os.urandom(11 * 2**20)
    source = BytesIO(data)
    parts = noted(storage, "UploadPart")
    storage.save("exports/archive.zip", File(source))
    assert len(parts) == 3 and not source.closed
    assert storage.open("exports/archive.zip").read() == data


def test_threads_share_a_client_and_get_their_own_bytes(storage):
    def there_and_back(number):
        data = str(number).encode() * 70_000
        storage.save(f"file-{number}", ContentFile(data))
        with storage.open(f"file-{number}") as file:
            return file.read() == data, storage.client

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(there_and_back, range(24)))
    assert all(is_same for is_same, _ in results)
    assert len({id(client) for _, client in results}) == 1


# Faults


@contextmanager
def cutting_proxy(server, kept_bytes):
    """Leads to the server. The n-th connection ends after so many bytes of responses; those after
    the last number go on."""
    host, _, port = server.removeprefix("http://").partition(":")
    limits = iter(kept_bytes)

    def serve(client):
        with client, socket.create_connection((host, int(port))) as upstream:
            threading.Thread(target=forward, args=(client, upstream), daemon=True).start()
            left = next(limits, None)
            while data := upstream.recv(65_536):
                client.sendall(data if left is None else data[:left])
                if left is not None and (left := left - len(data)) <= 0:
                    client.shutdown(socket.SHUT_RDWR)
                    return

    def forward(client, upstream):
        try:
            while data := client.recv(65_536):
                upstream.sendall(data)
        except OSError:
            pass

    def accept(listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def through(storage, endpoint, location="holdfast"):
    """The same bucket at another address, or another folder of it."""
    return BucketStorage(
        bucket_name=storage.bucket_name,
        location=location,
        region_name=storage.region_name,
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        endpoint_url=endpoint,
    )


def test_a_broken_connection_is_replaced_where_it_broke(storage, bucket_server):
    data = os.urandom(3_000_000)
    storage.save("file", ContentFile(data))
    with cutting_proxy(bucket_server, [1_000_000, 900_000, 400_000]) as endpoint:
        proxied = through(storage, endpoint)
        requests = noted(proxied, "GetObject")
        with proxied.open_range("file", 10, 2_900_000) as file:
            read = b"".join(iter(lambda: file.read(64_000), b""))
    assert read == data[10:2_900_010]
    starts = [int(request.headers["Range"][6:].split(b"-")[0]) for request in requests]
    assert len(starts) == 4 and starts == sorted(starts)


def test_a_request_without_a_response_is_repeated(storage, bucket_server):
    with cutting_proxy(bucket_server, [0]) as endpoint:
        proxied = through(storage, endpoint)
        requests = noted(proxied, "PutObject")
        proxied.save("file", ContentFile(TEXT))
    assert len(requests) == 2
    assert storage.open("file").read() == TEXT


def test_a_changed_object_is_not_mixed_with_the_earlier_one(storage, bucket_server):
    storage.save("file", ContentFile(b"a" * 3_000_000))
    with cutting_proxy(bucket_server, [1_000_000]) as endpoint:
        file = through(storage, endpoint).open("file")
        assert file.read(1_000) == b"a" * 1_000
        storage.save("file", ContentFile(b"b" * 3_000_000))
        with pytest.raises(BucketError, match="PreconditionFailed"):
            file.read()


def test_a_connection_that_breaks_again_and_again_is_an_error(storage, bucket_server):
    storage.save("file", ContentFile(os.urandom(3_000_000)))
    # Later ones end within the header of the response.
    with cutting_proxy(bucket_server, [1_000_000, *[100] * 99]) as endpoint:
        file = through(storage, endpoint).open("file")
        with pytest.raises(BucketError):
            file.read()


def test_a_server_that_is_away_or_silent_is_an_error(storage, monkeypatch):
    monkeypatch.setattr(bucket_storage, "READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(bucket_storage, "ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BucketError, match="timeout"):
            through(storage, address).size("file")
    for ask in ("open", "size", "listdir", "exists", "delete"):
        with pytest.raises(BucketError, match="connect"):
            getattr(through(storage, address), ask)("file")


# Processes


def run(code, **env):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE_DIR,
        env=clean_environment(DJANGO_SETTINGS_MODULE="config.settings", **env),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_process_with_a_folder_does_not_load_boto(tmp_path):
    code = (
        "import sys, config.asgi\n"
        "from django.core.files.base import ContentFile\n"
        "from django.core.files.storage import default_storage\n"
        "default_storage.save('file', ContentFile(b'one'))\n"
        "print([name for name in ('boto3', 'botocore', 'storages') if name in sys.modules])"
    )
    assert run(code, HOLDFAST_DATA=str(tmp_path)) == "[]"


SLOW_READERS = """
import config.asgi
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024

default_storage.open("file").close()
before = most = resident()
readers = [default_storage.open_range("file", 1, None) for _ in range(50)]
for _ in range(5):
    for reader in readers:
        assert len(reader.read(64_000)) == 64_000
    most = max(most, resident())
print(most - before)
"""


def test_slow_readers_of_large_files_take_little_memory(bucket_server, storage, tmp_path):
    storage.save("file", ContentFile(bytes(4_000_000)))
    env = bucket_environment(bucket_server, storage.bucket_name)
    assert int(run(SLOW_READERS, HOLDFAST_DATA=str(tmp_path), **env)) < 64_000_000
