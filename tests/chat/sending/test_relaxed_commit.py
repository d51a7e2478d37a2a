"""A write with a relaxed commit does not wait for the disk; all other writes still do."""

import pytest
from django.db import connection, transaction

from accounts.models import User
from chat.sending.relaxed_commit import relaxed_commit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
ASKED = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}
WAITS = {"sqlite": 2, "postgresql": "on"}  # 2: FULL


def waiting():
    with connection.cursor() as cursor:
        cursor.execute(ASKED[connection.vendor])
        return cursor.fetchone()[0]


@pytest.fixture
def write():
    seen = []

    @relaxed_commit
    def unsynced(fails=False):
        seen.append(waiting())
        User.objects.create(is_guest=True)
        if fails:
            raise LookupError

    unsynced.seen = seen
    return unsynced


def test_it_writes_without_waiting_and_waits_again(write):
    if connection.vendor == "sqlite":  # A database in memory reports that it waits for no disk.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=FULL")
    write()
    assert write.seen[0] != WAITS[connection.vendor]
    assert waiting() == WAITS[connection.vendor]
    assert User.objects.count() == 1


def test_it_waits_again_after_a_failure(write):
    with pytest.raises(LookupError):
        write(fails=True)
    assert waiting() == WAITS[connection.vendor]


def test_within_a_transaction_it_goes_with_the_rest(write):
    before = waiting()
    with transaction.atomic():
        write()
    assert write.seen == [before]
    assert User.objects.count() == 1
