"""No test in this folder goes offline (tests/browser/conftest.py: service_workers)."""

import pytest


@pytest.fixture
def service_workers() -> str:
    return "block"
