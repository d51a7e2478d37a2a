import pytest


@pytest.fixture
def signed_in(alice, client):
    client.force_login(alice)
    return client
