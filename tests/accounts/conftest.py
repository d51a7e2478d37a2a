import pytest

from accounts.models import User
from tests.accounts.mailbox_fixtures import mailbox, smtp
from tests.accounts.people import Visitor

__all__ = ["mailbox", "smtp"]


@pytest.fixture
def alice(db):
    return User.objects.create_user("alice@example.org", "correct horse")


@pytest.fixture
def guest(db):
    return User.objects.create(is_guest=True, password="!")


@pytest.fixture
def operator(db):
    return User.objects.create_superuser("operator@example.org", "correct horse")


@pytest.fixture
def visitor(transactional_db, client, mailbox):
    return Visitor(client, mailbox)
