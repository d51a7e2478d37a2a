"""The time limit of a search does not remain on the connection for the next query."""

import pytest
from django.db import connection

from chat.errors import SearchTooSlow
from chat.search import search

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def work():
    counting = "SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 400000"
    with connection.cursor() as cursor:
        cursor.execute(f"WITH RECURSIVE t(n) AS ({counting}) SELECT count(*) FROM t")
        return cursor.fetchone()[0]


def test_the_next_query_has_no_limit(settings):
    settings.SEARCH_TIMEOUT_MS = 1
    with pytest.raises(SearchTooSlow), search._time_limit():
        work()
    assert work() == 400_000
