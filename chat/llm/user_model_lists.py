"""The models of people's own keys, read from their rows once for each list.

A list is up to some hundred entries of JSON, and each page, each send and each list of models asks
for those of all keys of a person: ten full ones took half a second of a processor. So what was read
is kept, by key and by the moment at which its list was stored, without the key itself.
"""

import threading
from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from accounts.models import ProviderKey
from chat.llm.endpoints import Endpoint, Model
from chat.llm.listing import models_of

MAX_KEPT_MODELS = 20_000  # about 10 MB

Key = tuple[UUID, datetime]


class ModelLists:
    """Usable from any thread. The lists used least recently go first."""

    def __init__(self, max_models: int = MAX_KEPT_MODELS) -> None:
        self._max_models = max_models
        self._kept: OrderedDict[Key, list[Model]] = OrderedDict()
        self._models = 0
        self._lock = threading.Lock()

    def of(self, row: ProviderKey, endpoint: Endpoint) -> list[Model]:
        """Not to be changed. A query where the list is not known and was deferred. Sync."""
        key = (row.id, row.checked_at)  # Every change of a list or of the key sets the time.
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return found
        models = models_of(endpoint, row.model_list)
        self._keep(key, models)
        return models

    def _keep(self, key: Key, models: list[Model]) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = models
            self._models += len(models)
            while self._models > self._max_models:
                self._models -= len(self._kept.popitem(last=False)[1])


lists = ModelLists()
