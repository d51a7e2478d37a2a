"""Notifies a person's open pages when their balance changes; the web process adds the balance."""

import logging
import uuid

from accounts.sockets import send_to_person

logger = logging.getLogger(__name__)


def notify_person(person_id: uuid.UUID) -> None:
    """Listener of the ledger. Messages may get lost; pages get the balance when they connect."""
    try:
        send_to_person(person_id, {"type": "balance.changed"})
    except Exception:
        # The money is booked; the caller must not fail because Redis is unavailable.
        logger.warning("could not notify pages of a changed balance", exc_info=True)
