"""How many sockets each person, and each address, has open in this process."""

import math
import uuid
from collections import Counter

from django.conf import settings

MAX_SOCKETS_PER_USER = 32

# By person, and by group of addresses.
counts: Counter[uuid.UUID | str] = Counter()


def enter(person: uuid.UUID, address: str) -> bool:
    """Count one more; False, and it is not counted, when there are too many."""
    most_of_address = settings.SOCKETS_AT_ONCE_ADDRESS or math.inf
    if counts[person] >= MAX_SOCKETS_PER_USER or counts[address] >= most_of_address:
        return False
    counts.update((person, address))
    return True


def leave(person: uuid.UUID, address: str) -> None:
    for owner in (person, address):
        counts[owner] -= 1
        if counts[owner] <= 0:
            del counts[owner]
