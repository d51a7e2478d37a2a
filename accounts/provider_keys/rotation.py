"""Encrypting what is stored with the newest version of the encryption key.

Every row is a step of its own that is repeated or left out without harm: one that is replaced or
removed meanwhile keeps what it became.
"""

from collections.abc import Callable
from uuid import UUID

from accounts.models import ProviderKey
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.encryption import KeyEncryptionError, decryption_allowed

BATCH = 200


class ReadingFailedError(Exception):
    """`rows`: the ids of the keys that do not decrypt; all others are done."""

    def __init__(self, done: int, rows: list[UUID]) -> None:
        listed = ", ".join(str(row) for row in rows[:20])
        super().__init__(
            f"{done} keys were encrypted anew; {len(rows)} cannot be read, by any key given: "
            f"{listed}. Their people must enter them again."
        )
        self.done, self.rows = done, rows


def rotate(tell: Callable[[int], object] = lambda so_far: None) -> int:
    """Gives how many were encrypted anew. Raises ReadingFailedError, at the end. Sync."""
    done, failed, after = 0, [], UUID(int=0)
    with decryption_allowed():
        while rows := _outdated(after):
            for row in rows:
                try:
                    done += provider_keys.reencrypt(row)
                except KeyEncryptionError:
                    failed.append(row.id)
            after = rows[-1].id
            tell(done)
    if failed:
        raise ReadingFailedError(done, failed)
    return done


def _outdated(after: UUID) -> list[ProviderKey]:
    outdated = ProviderKey.objects.filter(provider_keys.outdated(), id__gt=after)
    # Not the lists, which are long.
    return list(outdated.defer("model_list").order_by("id")[:BATCH])
