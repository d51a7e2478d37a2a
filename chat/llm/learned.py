"""Facts learned about providers from their responses, kept in the process's memory.

Facts are kept per owner of the key: a person's own account or address says nothing about anybody
else's. A conclusion from a refusal is kept only if the adapted request then succeeded
(`chat/llm/request_form.py`), because a refusal may quote what somebody wrote.
"""

import math
import time
from typing import Generic, TypeVar

from chat.llm.endpoints import Model

Key = tuple[str, str, str]
Value = TypeVar("Value")
MAX_LEARNED = 10_000
# A provider may teach a model to see, to hear or to speak.
SENSES_S = 6 * 3600.0


class Learned(Generic[Value]):
    """A value for each of the latest MAX_LEARNED keys, for at most `seconds` each."""

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._values: dict[Key, tuple[Value, float]] = {}

    def __contains__(self, key: Key) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """None too if it was learned too long ago."""
        value, until = self._values.get(key, (None, math.inf))
        return value if time.monotonic() < until else None

    def add(self, key: Key, value: Value) -> None:
        self._values.pop(key, None)
        self._values[key] = value, time.monotonic() + self._seconds
        if len(self._values) > MAX_LEARNED:
            del self._values[next(iter(self._values))]

    def drop(self, key: Key) -> None:
        self._values.pop(key, None)

    def clear(self) -> None:
        self._values.clear()


refuses_prefill: Learned[bool] = Learned()
refuses_stream_options: Learned[bool] = Learned()  # by endpoint
renamed_limit: Learned[bool] = Learned()
refuses_system: Learned[bool] = Learned()
refuses_pictures: Learned[bool] = Learned(SENSES_S)
refuses_sound: Learned[bool] = Learned(SENSES_S)
refuses_modalities: Learned[bool] = Learned()
refuses_speech: Learned[bool] = Learned(SENSES_S)
echoes_prefill: Learned[bool] = Learned()  # by person
# The closing mark of models whose template opens their thinking; by person.
thinks_first: Learned[str] = Learned()


def model_key(model: Model, person: str = "") -> Key:
    """`person`: the user's id, for facts that follow from the text of their answers only."""
    return person or model.endpoint.owner, model.endpoint.base_url, model.id


def endpoint_key(model: Model) -> Key:
    return model.endpoint.owner, model.endpoint.base_url, ""
