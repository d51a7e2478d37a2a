"""Migrates the database and collects the static files before the processes start."""

import fcntl
import hashlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from config.web import bundle, static_files

# Two machines that start on one database migrate one after the other.
MIGRATION_LOCK = 0x686F6C6466617374


class PrepareError(Exception):
    """One line: what is wrong and what to do."""


def without_pool() -> None:
    """Disables the connection pool. A command needs one connection, and the pool would hide the
    reason why it cannot connect."""
    settings.DATABASES["default"].get("OPTIONS", {}).pop("pool", None)


def migrate() -> int:
    """Applies the missing migrations; returns their number. Raises PrepareError."""
    try:
        connection.ensure_connection()
    except (OperationalError, ValueError) as error:
        raise PrepareError(_unreachable(error)) from error
    try:
        with _migration_lock():
            executor = MigrationExecutor(connection)
            _refuse_newer(executor)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                call_command("migrate", verbosity=0, interactive=False)
            return len(plan)
    except DatabaseError as error:
        raise PrepareError(
            f"The database cannot be used: {_one_line(error)}. "
            "See that it is whole and that this user may change it, or restore a backup."
        ) from error
    finally:
        connection.close()


def _unreachable(error: Exception) -> str:
    if connection.vendor == "sqlite":
        return (
            f"The database {connection.settings_dict['NAME']} cannot be opened "
            f"({_one_line(error)}). Check the rights on its folder, or choose another with --data."
        )
    return (
        f"The database of DATABASE_URL does not answer: {_one_line(error)}. "
        "Check host, port, name and password, and that the server runs."
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _refuse_newer(executor: MigrationExecutor) -> None:
    known = set(executor.loader.disk_migrations)
    apps = {app for app, _ in known}
    unknown = sorted(
        f"{app}.{name}"
        for app, name in executor.loader.applied_migrations
        if app in apps and (app, name) not in known and not _replaced(executor, app, name)
    )
    if unknown:
        raise PrepareError(
            f"The database was written by a newer Holdfast (it has {unknown[-1]}). "
            "Use that version, or choose another database."
        )


def _replaced(executor: MigrationExecutor, app: str, name: str) -> bool:
    migrations = executor.loader.disk_migrations.values()
    return any((app, name) in migration.replaces for migration in migrations)


@contextmanager
def _migration_lock() -> Iterator[None]:
    if connection.vendor != "postgresql":  # SQLite has one user: the data folder is locked.
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


def collect_static() -> bool:
    """Collects the static files if they have changed; returns whether they had."""
    root = Path(settings.STATIC_ROOT)
    if settings.DEBUG:
        return False
    stamp = root / "collected.sha256"
    try:
        root.mkdir(parents=True, exist_ok=True)
        digest = _static_digest()
        if _read(stamp) == digest:
            return False
        with (root / "collect.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _read(stamp) == digest:  # Another start has collected them meanwhile.
                return False
            call_command("collectstatic", verbosity=0, interactive=False)
            stamp.write_text(digest, encoding="ascii")
    except OSError as error:
        raise PrepareError(
            f"The static files cannot be collected into {root}: {error.strerror}. "
            "Give this user the right to write there, or set HOLDFAST_STATIC_ROOT."
        ) from error
    return True


def _static_digest() -> str:
    """Changes with the name or content of any static file, and with the code that collects them."""
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for module in (static_files, bundle):
        digest.update(inspect.getsource(module).encode())
    digest.update(bundle.version().encode())
    digest.update(b"brotli" if find_spec("brotli") else b"gzip")
    for finder in get_finders():
        for path, storage in finder.list([]):
            digest.update(path.encode() + b"\0")
            with storage.open(path) as file:
                digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
