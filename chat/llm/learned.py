"""Facts learned about providers from their responses, kept in the process's memory.

Facts are kept per owner of the key: a person's own account or address says nothing about anybody
else's. A conclusion from a refusal is kept only if the adapted request then succeeded
(`chat/llm/request_form.py`), because a refusal may quote what somebody wrote.
"""

from typing import Generic, TypeVar

from chat.llm.endpoints import Model

Key = tuple[str, str, str]
Value = TypeVar("Value")
MAX_LEARNED = 10_000


class Learned(Generic[Value]):
    """A value for each of the latest MAX_LEARNED keys."""

    def __init__(self) -> None:
        self._values: dict[Key, Value] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        return self._values.get(key)

    def add(self, key: Key, value: Value) -> None:
        self._values.pop(key, None)
        self._values[key] = value
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
refuses_pictures: Learned[bool] = Learned()
refuses_sound: Learned[bool] = Learned()
refuses_modalities: Learned[bool] = Learned()
echoes_prefill: Learned[bool] = Learned()  # by person
# The closing mark of models whose template opens their thinking; by person.
thinks_first: Learned[str] = Learned()


def model_key(model: Model, person: str = "") -> Key:
    """`person`: the user's id, for facts that follow from the text of their answers only."""
    return person or model.endpoint.owner, model.endpoint.base_url, model.id


def endpoint_key(model: Model) -> Key:
    return model.endpoint.owner, model.endpoint.base_url, ""
