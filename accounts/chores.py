"""What must be done about people now and then. The worker calls these with every sweep."""

import time

from asgiref.sync import sync_to_async

from accounts.guests import expire as idle_guests
from accounts.guests import merge as guest_joins
from accounts.models import Session
from accounts.personal_data import erase as erasing
from accounts.personal_data import export as exports
from streams.lock import alone

IDLE_EVERY_S = 3_600.0

_idle_due_at = 0.0


async def run() -> None:
    """Everything here may be repeated, and done by two workers at once."""
    global _idle_due_at
    await guest_joins.carry_on_all()
    await erasing.carry_on_all()
    await sync_to_async(exports.notify_ready)()
    if time.monotonic() >= _idle_due_at:
        await alone("idle-guests", idle_guests.remove_idle_guests)
        await alone("clear-out", sync_to_async(_clear_out))
        _idle_due_at = time.monotonic() + IDLE_EVERY_S


async def make_exports() -> None:
    """All that wait. Of its own: one may take minutes."""
    while await exports.make_next():
        pass


def _clear_out() -> None:
    idle_guests.remove_unconfirmed()
    exports.remove_old()
    exports.remove_strays()
    Session.get_session_store_class().clear_expired()
