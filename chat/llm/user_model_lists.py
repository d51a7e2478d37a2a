"""A cache of the models of people's own keys, parsed once per stored list.

A list has up to some hundred entries of JSON, and every page, every send and every list of models
needs the lists of all keys of a person. Parsing ten full ones took half a second of CPU time. The
cache is keyed by the key's id and the time its list was stored; it does not hold the key itself.
"""

import threading
from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from accounts.models import ProviderKey
from chat.llm.endpoints import Endpoint, Model
from chat.llm.listing import models_from_entries

MAX_KEPT_MODELS = 20_000  # about 10 MB

Key = tuple[UUID, datetime]


class ModelListCache:
    """Thread-safe. The least recently used lists are dropped first."""

    def __init__(self, max_models: int = MAX_KEPT_MODELS) -> None:
        self._max_models = max_models
        self._kept: OrderedDict[Key, list[Model]] = OrderedDict()
        self._models = 0
        self._lock = threading.Lock()

    def get(self, row: ProviderKey, endpoint: Endpoint) -> list[Model]:
        """The models of this key; callers must not change the list.

        Blocks. Makes a query if the list is not in the cache and the field was deferred.
        """
        key = (row.id, row.checked_at)  # Every change of the list or the key sets `checked_at`.
        with self._lock:
            if (models := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return models
        models = models_from_entries(endpoint, row.model_list)
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


lists = ModelListCache()
