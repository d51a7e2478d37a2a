"""The settings of a stack whose SQL statements are counted: each adds a byte to a file."""

import os

from django.db.backends.utils import CursorWrapper

from config.settings import *  # noqa: F403

FILE = "HOLDFAST_TEST_STATEMENTS"
_file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _counted(execute):
    def count_and_execute(*arguments):
        os.write(_file, b".")
        return execute(*arguments)

    return count_and_execute


CursorWrapper._execute = _counted(CursorWrapper._execute)
CursorWrapper._executemany = _counted(CursorWrapper._executemany)
