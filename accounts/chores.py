"""The chores of accounts: guests, deletions, exports, provider keys."""

from collections.abc import Iterable

from asgiref.sync import sync_to_async

from accounts.guests import expire as idle_guests
from accounts.guests import merge as guest_joins
from accounts.models import Session
from accounts.personal_data import erase as erasing
from accounts.personal_data import export as exports
from accounts.provider_keys import recheck
from streams.chores import SWEEP_EVERY_S, Chore, register

EXPORT_MAILS_EVERY_S = 60.0
CLEAN_UP_EVERY_S = 3_600.0


@register
def chores() -> Iterable[Chore]:
    return (
        Chore("guest-joins", guest_joins.carry_on_all, SWEEP_EVERY_S, wake_on="join"),
        Chore("deletions", erasing.carry_on_all, SWEEP_EVERY_S, wake_on="deletion"),
        Chore("exports", _make_exports, SWEEP_EVERY_S, wake_on="export"),
        Chore("export-mails", sync_to_async(exports.notify_ready), EXPORT_MAILS_EVERY_S),
        Chore("provider-keys", recheck.run, SWEEP_EVERY_S, wake_on="keys"),
        Chore("idle-guests", idle_guests.remove_idle_guests, CLEAN_UP_EVERY_S, lock="idle-guests"),
        Chore("clean-up", sync_to_async(_clean_up), CLEAN_UP_EVERY_S, lock="clear-out"),
    )


async def _make_exports() -> None:
    """Make every archive that is waiting. Each may take minutes."""
    while await exports.make_next():
        await sync_to_async(exports.notify_ready)()


def _clean_up() -> None:
    idle_guests.remove_unconfirmed()
    exports.remove_old()
    exports.remove_strays()
    Session.get_session_store_class().clear_expired()
