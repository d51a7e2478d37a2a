import pytest


@pytest.fixture
async def online(no_worker, alice):
    """Alice with a chat and no worker: only the test appends events."""
    await alice.send("Hello")
    return alice
