"""How many sockets each person and each address has open in this process."""

import math
import uuid
from collections import Counter

from django.conf import settings

MAX_SOCKETS_PER_USER = 32

# By person id and by address group.
counts: Counter[uuid.UUID | str] = Counter()


def register(person: uuid.UUID, address: str) -> bool:
    """Count one more socket. Returns False, without counting it, if there are too many."""
    max_per_address = settings.SOCKETS_AT_ONCE_ADDRESS or math.inf
    if counts[person] >= MAX_SOCKETS_PER_USER or counts[address] >= max_per_address:
        return False
    counts.update((person, address))
    return True


def unregister(person: uuid.UUID, address: str) -> None:
    for owner in (person, address):
        counts[owner] -= 1
        if counts[owner] <= 0:
            del counts[owner]
