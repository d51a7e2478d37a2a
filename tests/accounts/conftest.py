import pytest

from accounts.models import User
from config.env import email_settings
from tests.accounts.mailbox import running_mailbox
from tests.accounts.people import Visitor


@pytest.fixture
def alice(db):
    return User.objects.create_user("alice@example.org", "correct horse")


@pytest.fixture
def guest(db):
    return User.objects.create(is_guest=True, password="!")


@pytest.fixture
def operator(db):
    return User.objects.create_superuser("operator@example.org", "correct horse")


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


@pytest.fixture
def visitor(transactional_db, client, mailbox):
    return Visitor(client, mailbox)
