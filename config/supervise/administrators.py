"""How to make the first administrator, for `up` and `doctor`."""

import os
import shlex

from django.conf import settings

from accounts.models import User


def count() -> int:
    return User.objects.administrators().count()


def how_to() -> str:
    """The command for this data folder."""
    command = "python3 manage.py createsuperuser"
    if os.environ.get("HOLDFAST_DATA"):  # By `up --data`, perhaps, which the next shell lacks.
        command = f"HOLDFAST_DATA={shlex.quote(str(settings.DATA_DIR))} {command}"
    return command


def notes() -> list[str]:
    if User.objects.administrators().exists():
        return []
    return [f"Nobody can open /admin/ yet. To make an administrator, run: {how_to()}"]
