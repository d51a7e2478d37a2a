"""What must be done about people now and then. The worker calls `run` with every sweep."""

import time

from asgiref.sync import sync_to_async

from accounts import guest_joins, idle_guests

IDLE_EVERY_S = 3_600.0

_idle_due_at = 0.0


async def run() -> None:
    """Everything here may be repeated, and done by two workers at once."""
    global _idle_due_at
    await guest_joins.carry_on_all()
    if time.monotonic() >= _idle_due_at:
        await idle_guests.remove_idle_guests()
        await sync_to_async(idle_guests.remove_unconfirmed)()
        _idle_due_at = time.monotonic() + IDLE_EVERY_S
