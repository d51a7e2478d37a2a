"""A person's pages are told that their balance has changed; they are given the new one."""

import logging
import uuid

from accounts.sockets import send_to_person

logger = logging.getLogger(__name__)


def tell(person_id: uuid.UUID) -> None:
    """Called by the ledger after each commit. May be lost: pages are told when they connect too."""
    try:
        send_to_person(person_id, {"type": "balance.changed"})
    except Exception:
        # The money is booked; whoever did that must not fail because Redis is away.
        logger.warning("nobody was told of a new balance", exc_info=True)
