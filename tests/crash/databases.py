"""The database of a stack under test: reads it, blocks its writers, and kills it."""

import contextlib
import sqlite3
import time
from contextlib import closing

import psutil
import psycopg

from tests.examples import FULL
from tests.stack import wait_for

VICTIMS = ("worker-1", "worker-2", "web", "redis")
# PostgreSQL's processes that do not serve clients.
HOUSEKEEPERS = ("checkpointer", "writer", "walwriter", "launcher", "archiver", "startup", "logger")


class Sqlite:
    """The database that `up` creates. Each worker and the web process has it open."""

    env: dict[str, str] = {}
    victims = VICTIMS * 2 if FULL else VICTIMS

    def rows(self, stack, query):
        with closing(sqlite3.connect(stack.data / "db.sqlite3", timeout=30)) as database:
            return database.execute(query).fetchall()

    def hold(self, stack, seconds):
        """Blocks all other writers for `seconds`."""
        database = sqlite3.connect(stack.data / "db.sqlite3", timeout=30, isolation_level=None)
        with closing(database):
            database.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)


class Postgresql:
    """A server for one test, which the test may kill."""

    victims = (
        *Sqlite.victims,
        *("postmaster",) * (3 if FULL else 1),
        *("backend",) * (5 if FULL else 3),
    )

    def __init__(self, server):
        self.server = server
        self.backends_killed = 0
        self.env = {"DATABASE_URL": server.get_uri()}

    def rows(self, _stack, query):
        """Runs a query; waits while the server recovers from a kill."""
        found = []

        def read():
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(self.server.get_uri()) as database,
            ):
                found.append(database.execute(query).fetchall())
            return bool(found)

        wait_for(read, 60)
        return found[-1]

    def hold(self, _stack, seconds):
        """Blocks all access to the replies for `seconds`, or until the server is killed."""
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(self.server.get_uri()) as database,
        ):
            database.execute("LOCK TABLE chat_reply IN ACCESS EXCLUSIVE MODE")
            time.sleep(seconds)
            database.rollback()

    def kill(self, victim, dice):
        try:
            main = psutil.Process(self.server.get_pid())
        except psutil.NoSuchProcess:  # An earlier kill is restarting the server.
            return
        if victim == "postmaster":
            self.kill_all(main)
        elif serving := [child for child in main.children() if serves(child)]:
            # PostgreSQL ends the other backends too, and recovers by itself.
            dice.choice(serving).kill()
            self.backends_killed += 1

    def kill_all(self, main):
        """Kills all processes of the server (SIGKILL), waits for their end and restarts it."""
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_for(lambda: not any(is_alive(process) for process in processes), 30)
        # Until it is reaped, its lock files would make the dead server appear to be running.
        locks = self.server.pgdata / "postmaster.pid", *self.server.pgdata.glob(".s.PGSQL.*")
        for lock in locks:
            lock.unlink(missing_ok=True)
        self.server.ensure_postgres_running()


def serves(process):
    with contextlib.suppress(psutil.Error):
        title = " ".join(process.cmdline())
        return title.startswith("postgres:") and not any(name in title for name in HOUSEKEEPERS)
    return False


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
