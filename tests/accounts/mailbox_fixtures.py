"""Fixtures that send the application's mail to a mailbox."""

import pytest

from config.env import email_settings
from tests.accounts.mailbox import running_mailbox


@pytest.fixture(scope="session")
def smtp():
    with running_mailbox() as running:
        yield running


@pytest.fixture
def mailbox(smtp, settings, redis_url):
    """Receives all mail over SMTP."""
    for name, value in email_settings(f"smtp://127.0.0.1:{smtp.port}").items():
        setattr(settings, name, value)
    smtp.mails.clear()
    return smtp
