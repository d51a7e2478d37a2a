"""Both storages of files, and what is in them."""

import os

import pytest
from django.core.files.storage import default_storage

# A database changes nothing about a bucket.
_KINDS = ["folder", "bucket"][: 1 if "HOLDFAST_TEST_DATABASE" in os.environ else 2]
# Runs a test on each storage.
both_storages = pytest.mark.parametrize("own_storage", _KINDS, indirect=True)


def stored_names(folder=""):
    """The names of all that is stored."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return []
    start = f"{folder}/" if folder else ""
    below = [name for each in folders for name in stored_names(start + each)]
    return sorted([*(start + name for name in files), *below])


def stored_renditions(file_id):
    return [name.rpartition("/")[2] for name in stored_names(f"files/{file_id}")]


def files_with_objects():
    """The ids of the files that have objects."""
    return {name.split("/")[1] for name in stored_names("files")}
