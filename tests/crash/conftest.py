import pytest

from tests.node import browser_fold


@pytest.fixture(scope="session")
def javascript_fold():
    with browser_fold() as fold:
        yield fold
