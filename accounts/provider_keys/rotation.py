"""Re-encrypts stored provider keys with the newest version of the encryption key.

Each row is updated by itself, only if it has not changed in the meantime. So a rotation can be
interrupted, repeated, and run while keys are replaced or removed.
"""

from collections.abc import Callable
from uuid import UUID

from accounts.models import ProviderKey
from accounts.provider_keys import store as provider_keys
from accounts.provider_keys.encryption import KeyEncryptionError, decryption_allowed

BATCH = 200


class ReadingFailedError(Exception):
    """`rows` has the ids of the keys that do not decrypt; `done` is the number of the others."""

    def __init__(self, done: int, rows: list[UUID]) -> None:
        listed = ", ".join(str(row) for row in rows[:20])
        super().__init__(
            f"{done} keys were encrypted anew; {len(rows)} cannot be read with any key: "
            f"{listed}. Their owners must enter them again."
        )
        self.done, self.rows = done, rows


def rotate(on_progress: Callable[[int], object] = lambda done: None) -> int:
    """Re-encrypt all outdated keys; returns how many. Sync.

    `on_progress` is called with the number so far. Raises ReadingFailedError at the end.
    """
    done, failed, after = 0, [], UUID(int=0)
    with decryption_allowed():
        while rows := _outdated(after):
            for row in rows:
                try:
                    done += provider_keys.reencrypt(row)
                except KeyEncryptionError:
                    failed.append(row.id)
            after = rows[-1].id
            on_progress(done)
    if failed:
        raise ReadingFailedError(done, failed)
    return done


def _outdated(after: UUID) -> list[ProviderKey]:
    outdated = ProviderKey.objects.filter(provider_keys.outdated(), id__gt=after)
    # Without the lists of models, which are long.
    return list(outdated.defer("model_list").order_by("id")[:BATCH])
