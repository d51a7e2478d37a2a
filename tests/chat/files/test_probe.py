"""/readyz and `doctor` say what is wrong with the storage of files."""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.test import AsyncClient

from chat.files import probe
from chat.models import StoredFile
from config.supervise import doctor
from tests.buckets.storages import both_storages
from tests.chat.files.file_requests import TEXT, upload
from tests.chat.workers import working

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_probed(monkeypatch):
    monkeypatch.setattr(probe, "_last", None)


def full(*ignored):
    raise OSError(28, "No space left on device")


async def test_a_storage_that_cannot_be_written_is_no_reason_to_be_replaced(worker, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "save", full)
        response = await AsyncClient().get("/readyz")
        [finding] = await sync_to_async(doctor._storage)()
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert "No space left" in response.json()["warnings"]["storage"]
    assert finding.level == "problem" and "No space left" in finding.text


@both_storages
async def test_it_is_written_at_most_every_half_minute(worker, monkeypatch):
    saved = []
    save = default_storage.save
    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "save", lambda *args: saved.append(args) or save(*args))
        for _ in range(3):
            response = await AsyncClient().get("/readyz")
            assert response.json()["status"] == "ready"
    assert len(saved) == 1
    assert default_storage.listdir("probe") == ([], [])


@both_storages
async def test_doctor_names_files_whose_bytes_are_missing(no_worker, alice):
    async with working():
        file_id = await upload(alice, TEXT)
    [finding] = await sync_to_async(doctor._storage)()
    assert finding.level == "ok" and finding.text.startswith("1 files of people, in the ")
    default_storage.delete(f"files/{file_id}/original")
    [finding] = await sync_to_async(doctor._storage)()
    assert finding.level == "problem" and file_id in finding.text
    await StoredFile.objects.filter(id=uuid.UUID(file_id)).aupdate(state="refused")
    assert (await sync_to_async(doctor._storage)())[0].level == "ok"


async def test_a_bucket_that_is_not_there_is_named(worker, bucket):
    default_storage.exists("file")
    default_storage.bucket_name = "another"
    response = await AsyncClient().get("/readyz")
    [finding] = await sync_to_async(doctor._storage)()
    assert "NoSuchBucket" in response.json()["warnings"]["storage"]
    assert finding.level == "problem" and "NoSuchBucket" in finding.text
    assert "HOLDFAST_STORAGE_URL" in finding.hint


async def test_doctor_warns_of_a_bucket_that_anybody_can_read(no_worker, bucket):
    async def warnings():
        findings = await sync_to_async(doctor._storage)()
        return [finding.text for finding in findings if finding.level == "warning"]

    assert await warnings() == []
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    default_storage.client.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert await warnings() == ["anybody can read the bucket without a key"]
    default_storage.client.delete_bucket_policy(Bucket=bucket)
    assert await warnings() == []
    assert default_storage.listdir("probe") == ([], [])


def test_a_storage_that_hangs_is_asked_once(monkeypatch):
    """/readyz would otherwise fill the threads that read files."""
    began, go_on = threading.Event(), threading.Event()
    asked = []

    def hang():
        asked.append(1)
        began.set()
        assert go_on.wait(20)
        return ""

    monkeypatch.setattr(probe, "storage_problem", hang)
    monkeypatch.setattr(probe, "SLOW_S", 0)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(probe.recent_storage_problem)
        assert began.wait(20)
        assert "no answer" in probe.recent_storage_problem()
        go_on.set()
        assert first.result(20) == ""
    assert probe.recent_storage_problem() == "" and len(asked) == 1
