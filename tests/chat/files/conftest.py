import pytest


@pytest.fixture(autouse=True)
def _own_storage(own_storage):
    """Each test has a storage of its own."""
