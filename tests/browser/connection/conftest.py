"""Tests in this folder go offline, where the service worker brings the page."""

import pytest


@pytest.fixture
def service_workers() -> str:
    return "allow"
