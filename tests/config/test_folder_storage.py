"""The folder storage: a saved file is whole, under its name, and safe on the disk."""

import os
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from config.folder_storage import FolderStorage


@pytest.fixture
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "files"
    return default_storage


def names(folder):
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


def test_it_is_the_default_storage_and_replaces_what_has_the_name(storage):
    assert isinstance(storage, FolderStorage)
    for content in (b"one", b"two"):
        assert storage.save("a/b/file", ContentFile(content)) == "a/b/file"
    with storage.open("a/b/file") as file:
        assert file.read() == b"two"
    assert names(storage.location) == ["file"]


def test_all_of_it_is_synced_before_it_has_its_name(storage, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(handle):
        steps.append(("sync", Path(os.readlink(f"/proc/self/fd/{handle}")).name))
        fsync(handle)

    def note_rename(path, target):
        steps.append(("rename", target.name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    storage.save("a/file", ContentFile(b"one"))
    renamed = steps.index(("rename", "file"))
    # The new folders, in those that hold them; the content; the name, in its folder.
    assert [name for _, name in steps[: renamed - 1]] == [
        Path(storage.location).parent.name,
        "files",
    ]
    assert steps[renamed - 1][1].endswith(".unfinished")
    assert steps[renamed + 1 :] == [("sync", "a")]


def test_a_full_disk_leaves_what_was_there(storage, monkeypatch):
    storage.save("file", ContentFile(b"one"))

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.save("file", ContentFile(b"two"))
    with storage.open("file") as file:
        assert file.read() == b"one"
    assert names(storage.location) == ["file"]


@pytest.mark.parametrize("name", ["../file", "/file", "a/../../file"])
def test_a_name_does_not_leave_the_folder(storage, name):
    with pytest.raises(Exception, match="path|Detected"):
        storage.save(name, ContentFile(b"one"))
    assert not Path(storage.location).exists() or names(storage.location) == []
