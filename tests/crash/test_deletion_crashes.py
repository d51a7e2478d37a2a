"""Kills workers (SIGKILL) that pack an archive or erase a person: another one finishes it."""

import contextlib
import io
import sqlite3
import time
import uuid
import zipfile

import pytest
import redis

from tests.client import Client
from tests.stack import Stack, wait_for

CHATS = 300
LIMITS = {"LIMIT_EXPORTS_PER_DAY_USER": "0"}


@pytest.fixture(scope="module")
def shared_stack(fake_model):
    created = Stack(model_url=fake_model.base_url, env=LIMITS)
    yield created
    created.close()


@pytest.fixture
def own_stack(shared_stack):
    """A running stack that the tests of this file share. The last one leaves a person in it."""
    return shared_stack.ensure_ready()


def rows(stack, query, *values):
    with contextlib.closing(
        sqlite3.connect(stack.data / "db.sqlite3", timeout=20, isolation_level=None)
    ) as database:
        return database.execute(query, values).fetchall()


async def posted(client, path, **fields):
    token = {"X-CSRFToken": client.http.cookies.get("csrftoken", ""), "Referer": client.url + "/"}
    return await client.http.post(path, data=fields, headers=token)


def add_chats(stack, count):
    """So many that packing or erasing them takes a while."""
    with contextlib.closing(sqlite3.connect(stack.data / "db.sqlite3", timeout=20)) as database:
        database.row_factory = sqlite3.Row
        chat = dict(database.execute("SELECT * FROM chat_chat LIMIT 1").fetchone())
        places = ", ".join(f":{name}" for name in chat)
        copies = [
            chat | {"id": uuid.uuid4().hex, "title": f"Chat {n}", "tip_id": None}
            for n in range(count)
        ]
        database.executemany(f"INSERT INTO chat_chat ({', '.join(chat)}) VALUES ({places})", copies)
        database.commit()
    return chat["owner_id"]


def kill_workers(stack):
    for name in ("worker-1", "worker-2"):
        with contextlib.suppress(ProcessLookupError):
            old = stack.kill(name)
            stack.wait_replaced(name, old)


async def test_erasing_that_is_killed_again_and_again_comes_to_its_end(own_stack):
    async with Client(own_stack.url) as alice:
        reply = await alice.send("[[tokens=4000&rate=20]] Unmistakable")
        await alice.until(reply, lambda message: len(str(message.text)) > 20)
        owner = add_chats(own_stack, CHATS)
        assert (await posted(alice, "/settings/data/delete")).status_code == 200
    for _ in range(3):
        kill_workers(own_stack)
        time.sleep(0.3)
    assert rows(own_stack, "SELECT count(*) FROM accounts_user") == [(1,)]
    # As if the time for what comes late were over.
    rows(own_stack, "UPDATE accounts_user SET deletion_begun_at = '2020-01-01 00:00:00'")
    kill_workers(own_stack)
    wait_for(lambda: rows(own_stack, "SELECT count(*) FROM accounts_user") == [(0,)], 60)
    for table in ("chat_chat", "chat_reply", "accounts_session"):
        assert rows(own_stack, f"SELECT count(*) FROM {table}") == [(0,)]
    kept = redis.Redis(unix_socket_path=str(own_stack.data / "redis" / "redis.sock"))
    wait_for(lambda: not list(kept.scan_iter(f"*{owner}*")), 30)
    kept.close()


async def test_nothing_is_left_in_the_files_either(own_stack):
    mark = "Unmistakable"
    async with Client(own_stack.url) as alice:
        reply = await alice.send(f"[[tokens=5]] {mark}")
        await alice.settled(reply)
        wait_for(lambda: rows(own_stack, "SELECT count(*) FROM chat_messagetext") == [(2,)], 30)
        assert files_with(own_stack.data, mark)
        assert (await posted(alice, "/settings/data/delete")).status_code == 200
    rows(own_stack, "UPDATE accounts_user SET deletion_begun_at = '2020-01-01 00:00:00'")
    wait_for(lambda: rows(own_stack, "SELECT count(*) FROM accounts_user") == [(0,)], 60)
    # Makes SQLite move its write-ahead log into the database file.
    rows(own_stack, "PRAGMA wal_checkpoint(TRUNCATE)")
    wait_for(lambda: files_with(own_stack.data, mark) == [], 30)


def files_with(folder, mark):
    needles = (mark.encode(), mark.lower().encode())
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # Redis puts a new file in place of the old one.
            if path.is_file() and any(needle in path.read_bytes() for needle in needles):
                found.append(path.name)
    return found


async def test_an_archive_whose_worker_is_killed_is_made_by_another(own_stack):
    async with Client(own_stack.url) as alice:
        reply = await alice.send("[[tokens=5]] Mine")
        await alice.settled(reply)
        add_chats(own_stack, CHATS)
        await posted(alice, "/settings/data/export")

        def state():
            [found] = rows(own_stack, "SELECT state, done, attempt FROM accounts_export")
            return found

        wait_for(lambda: state()[1] > 5, 60)
        kill_workers(own_stack)
        assert state()[0] == "building"  # Killed in the middle.
        # Ends the lease at once instead of waiting for it to expire.
        rows(own_stack, "UPDATE accounts_export SET lease_until = '2020-01-01 00:00:00'")
        wait_for(lambda: state()[0] == "ready", 120)
        assert state()[2] == 2
        body = (await alice.http.get("/settings/data/download")).content
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert len([name for name in archive.namelist() if "/chats/" in name]) == 2 * (CHATS + 1)
    # Nothing of the first attempt is left anywhere.
    kept = [path for path in (own_stack.data / "files").rglob("*") if path.is_file()]
    assert [path.name.partition("-")[2] for path in kept] == ["2.zip"]
