"""Connections to SQLite: each writer takes a turn, and gives it back however it ends."""

import sqlite3

import pytest
from django.db import IntegrityError, OperationalError, transaction
from django.db.utils import ConnectionHandler

from config.sqlite.write_queue import queue_of


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db.sqlite3")


@pytest.fixture(autouse=True)
def own_databases(django_db_blocker):
    """The databases of these tests are not Django's own, to which pytest-django forbids access."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def connection(path, monkeypatch):
    options = {"transaction_mode": "IMMEDIATE", "timeout": 0.2}
    handler = ConnectionHandler(
        {"default": {"ENGINE": "config.sqlite", "NAME": path, "OPTIONS": options}}
    )
    connection = handler["default"]
    monkeypatch.setattr(transaction, "get_connection", lambda using=None: connection)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    yield connection
    connection.close()


@pytest.fixture
def is_free(path):
    def is_free():
        if not queue_of(path).acquire(0.05):
            return False
        queue_of(path).release()
        return True

    return is_free


def insert(connection, number):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (%s)", [number])


def count(connection):
    with connection.cursor() as cursor:
        return cursor.execute("SELECT count(*) FROM t").fetchone()[0]


def test_a_transaction_has_its_turn_until_it_ends(connection, is_free):
    with transaction.atomic():
        assert not is_free()
        insert(connection, 1)
        with transaction.atomic():
            insert(connection, 2)
        assert not is_free()
    assert is_free()
    assert count(connection) == 2


def test_the_turn_ends_with_an_error(connection, is_free):
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(connection, 1)
        insert(connection, 1)
    assert is_free()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        insert(connection, 1)
        raise ZeroDivisionError
    assert is_free()
    assert count(connection) == 0


def test_the_turn_ends_when_the_database_is_locked_all_the_same(connection, path, is_free):
    """Another program has SQLite's own lock and knows nothing of the queue."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"), transaction.atomic():
        pass
    assert is_free()
    with pytest.raises(OperationalError, match="locked"):
        insert(connection, 1)
    assert is_free()
    other.close()
    insert(connection, 1)


def test_the_turn_ends_with_the_connection(connection, is_free):
    with transaction.atomic():
        connection.connection.close()
        connection.close()
        assert is_free()


def test_a_single_statement_takes_a_turn(connection, path):
    assert queue_of(path).acquire(1)
    try:
        with pytest.raises(OperationalError, match="locked"):
            insert(connection, 1)
        with pytest.raises(OperationalError, match="locked"), connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,)])
        assert count(connection) == 0  # Reading waits for nobody.
    finally:
        queue_of(path).release()
    insert(connection, 1)
    insert(connection, 2)


def test_a_connection_is_replaced_after_an_error(connection):
    first = connection.connection
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM missing")
    connection.close_if_unusable_or_obsolete()
    insert(connection, 1)
    assert connection.connection is not first


def test_without_the_right_to_write_beside_the_database(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError

    monkeypatch.setattr("config.sqlite.write_queue.os.open", refuse)
    options = {"ENGINE": "config.sqlite", "NAME": tmp_path / "other.sqlite3"}
    connection = ConnectionHandler({"default": options})["default"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n INTEGER)")
    connection.close()


def test_a_missing_folder_is_djangos_own_error(tmp_path):
    options = {"ENGINE": "config.sqlite", "NAME": tmp_path / "missing" / "db.sqlite3"}
    with pytest.raises(OperationalError, match="unable to open"):
        ConnectionHandler({"default": options})["default"].cursor()


def test_a_database_in_memory_has_no_queue():
    handler = ConnectionHandler({"default": {"ENGINE": "config.sqlite", "NAME": ":memory:"}})
    connection = handler["default"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n INTEGER)")
        cursor.execute("INSERT INTO t VALUES (1)")
