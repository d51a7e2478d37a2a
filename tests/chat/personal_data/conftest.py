import pytest

from tests.accounts.mailbox_fixtures import mailbox, smtp

__all__ = ["mailbox", "smtp"]


@pytest.fixture(autouse=True)
def files(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "files"
    return settings.MEDIA_ROOT
