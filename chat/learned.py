"""What was learned about providers by asking them; per process, forgotten with it.

By whose key it was: a person's own account or address teaches nothing about anybody else's. What a
refusal seemed to say is kept only if the next request helped, for a refusal may quote what somebody
wrote, and that may say anything.
"""

from chat.endpoints import Model

Key = tuple[str, str, str]
MAX_LEARNED = 10_000

refuses_prefill: set[Key] = set()
refuses_stream_options: set[Key] = set()
renamed_limit: set[Key] = set()
echo_found: dict[Key, bool] = {}


def key_of(model: Model) -> Key:
    return model.endpoint.owner, model.endpoint.base_url, model.id


def endpoint_key_of(model: Model) -> Key:
    return model.endpoint.owner, model.endpoint.base_url, ""


class Lessons:
    """What one call learns."""

    def __init__(self) -> None:
        self._noted: list[tuple[set[Key], Key]] = []
        self._new: list[tuple[set[Key], Key]] = []

    def note(self, known: set[Key], key: Key) -> bool:
        """Whether it makes sense to ask again: this call has not tried that yet."""
        if any(known is noted and key == same for noted, same in self._noted):
            return False
        self._noted.append((known, key))
        if key not in known:  # else another call has learned it meanwhile
            if len(known) >= MAX_LEARNED:
                return False
            known.add(key)
            self._new.append((known, key))
        return True

    def forget(self) -> None:
        """It did not help."""
        for known, key in self._new:
            known.discard(key)
