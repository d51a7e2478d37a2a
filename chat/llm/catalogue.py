"""Which models there are: the lists of all endpoints, kept fresh behind the page's back.

A list is read when it is first needed and again when it has grown old, in a thread: asking never
waits longer than FIRST_WAIT_S, and an endpoint that is down keeps its last list and hides no other.

Not every service has a list. The models that HOLDFAST_MODELS names for an endpoint count in place
of it, and where there is neither, the model of HOLDFAST_DEFAULT_MODEL is taken at its word.
"""

import asyncio
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace

from django.conf import settings

from chat.llm.endpoints import Endpoint, Model, configured
from chat.llm.errors import UnknownModelError
from chat.llm.families import PREFERRED
from chat.llm.listing import FetchError, fetch_models, model_named

logger = logging.getLogger(__name__)

FRESH_S = 300.0
RETRY_S = 15.0  # after a list could not be read
# The embedded model starts together with whoever asks it: that it is not there yet says nothing
# within this time. Two idle cores load it in 0.6 s; busy ones take longer.
STARTING_S = 60.0
STARTING_RETRY_S = 1.0
RECENT_S = 5.0  # a list this new is not read again for a model that is not in it
FIRST_WAIT_S = 1.5

__all__ = ["Catalogue", "Model", "UnknownModelError", "get_catalogue", "reset_catalogue"]


class Catalogue:
    """Usable from any thread and event loop."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self.endpoints = endpoints
        self._shelves = {endpoint.name: _Shelf(endpoint) for endpoint in endpoints}

    async def models(self) -> list[Model]:
        """Every endpoint's models as last known, in the endpoints' order."""
        shelves = self._shelves.values()
        for shelf in shelves:
            if shelf.is_due:
                shelf.refresh()
        await _wait([shelf.reading for shelf in shelves if shelf.is_worth_waiting])
        models = [model for shelf in shelves for model in shelf.models]
        default = self._unlisted_default(models)
        return [*models, default] if default else models

    def problem(self, endpoint: Endpoint) -> str:
        """Why there is no list of this endpoint; empty when there is one."""
        return self._shelves[endpoint.name].problem

    async def find(self, model_id: str) -> Model:
        """Raises UnknownModelError. While an endpoint's list cannot be read, its word is taken for
        the model: an answer that was begun must be able to go on."""
        if model := _pick(await self.models(), model_id):
            return model
        shelf = self._shelves.get(model_id.partition("/")[0])
        if shelf is None or shelf.endpoint.optional and not shelf.models:
            raise UnknownModelError(model_id)
        if shelf.age_s > RECENT_S:
            await _wait([shelf.refresh()])
        if model := _pick(shelf.models, model_id):
            return model
        if shelf.age_s == float("inf") and model_id.partition("/")[2]:
            return model_named(shelf.endpoint, model_id.partition("/")[2])
        raise UnknownModelError(model_id)

    async def default_id(self) -> str | None:
        """HOLDFAST_DEFAULT_MODEL if it is there; else of the first endpoint with any model the
        first of PREFERRED, else its first. None when there is no model at all."""
        models = await self.models()
        wanted = settings.DEFAULT_MODEL
        for chosen in models:
            if wanted and wanted in (chosen.id, chosen.provider_name):
                return chosen.id
        if not models:
            return None
        first = [model for model in models if model.endpoint == models[0].endpoint]
        for name in PREFERRED.get(first[0].endpoint.name, ()):
            if model := _pick(first, f"{first[0].endpoint.name}/{name}"):
                return model.id
        return first[0].id

    def _unlisted_default(self, models: list[Model]) -> Model | None:
        """The model of HOLDFAST_DEFAULT_MODEL, where the service that has it gives no list."""
        wanted = settings.DEFAULT_MODEL
        if not wanted or any(wanted in (model.id, model.provider_name) for model in models):
            return None
        unlisted = {
            name: shelf.endpoint
            for name, shelf in self._shelves.items()
            if not shelf.models and not shelf.endpoint.optional
        }
        prefix, _, rest = wanted.partition("/")
        if prefix in self._shelves:
            return model_named(unlisted[prefix], rest) if rest and prefix in unlisted else None
        unlisted.pop("local", None)  # It gives its list as soon as it has started.
        first = next(iter(unlisted.values()), None)
        return model_named(first, wanted) if first else None


class _Shelf:
    """One endpoint's list."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.problem = ""
        self._listed: list[Model] = []
        self.reading: Future[None] | None = None
        self._read_at = self._tried_at = float("-inf")
        self._first_tried_at: float | None = None
        self._told = ""
        self._lock = threading.Lock()

    @property
    def models(self) -> list[Model]:
        """As they are named by hand, with what the list says of them; else those of the list."""
        if not self.endpoint.named:
            return self._listed
        known = {model.provider_name: model for model in self._listed}
        found = []
        for name, window in self.endpoint.named:
            model = known.get(name) or model_named(self.endpoint, name)
            found.append(replace(model, context_tokens=window) if window else model)
        return found

    @property
    def age_s(self) -> float:
        """Since the list was read; infinite when it never was."""
        return time.monotonic() - self._read_at

    @property
    def is_worth_waiting(self) -> bool:
        """Nothing is known of its models yet, or of those named by hand no more than the names."""
        return not self.models or not (self._listed or self.problem)

    @property
    def is_starting(self) -> bool:
        """Whether its model may not be there yet."""
        first = self._first_tried_at
        is_early = first is None or time.monotonic() - first < STARTING_S
        return self.endpoint.is_embedded and self.age_s == float("inf") and is_early

    @property
    def is_due(self) -> bool:
        retry_s = STARTING_RETRY_S if self.is_starting else RETRY_S
        return self.age_s >= FRESH_S and time.monotonic() - self._tried_at >= retry_s

    def refresh(self) -> Future[None]:
        """Starts reading in a thread, or joins a reading that is going on."""
        with self._lock:
            if self.reading is None:
                self._tried_at = time.monotonic()
                if self._first_tried_at is None:
                    self._first_tried_at = self._tried_at
                self.reading = Future()
                name = f"models-{self.endpoint.name}"
                args = (self.reading,)
                threading.Thread(target=self._read, args=args, name=name, daemon=True).start()
            return self.reading

    def _read(self, reading: "Future[None]") -> None:
        problem = "its list of models could not be understood"
        try:
            models = fetch_models(self.endpoint)
        except FetchError as e:
            problem = f"its list of models could not be read: {e}"
        except Exception:  # a list in a form nobody foresaw must not end the refreshing
            logger.exception("models of %s could not be understood", self.endpoint.name)
        else:
            self._listed, self._read_at = models, time.monotonic()
            problem = "" if models else "its list has no chat model"
        finally:
            self.problem = problem
            self._tell()
            self.reading = None
            reading.set_result(None)

    def _tell(self) -> None:
        """Log what is wrong: once, not every time, and not what passes with the start."""
        if self.endpoint.optional or self.problem and self.is_starting:
            return
        if self.problem and self.problem != self._told:
            logger.warning("%s: %s", self.endpoint.name, self.problem)
        self._told = self.problem


async def _wait(readings: "list[Future[None] | None]") -> None:
    waiting = [asyncio.wrap_future(reading) for reading in readings if reading is not None]
    if waiting:
        await asyncio.wait(waiting, timeout=FIRST_WAIT_S)


def _pick(models: list[Model], model_id: str) -> Model | None:
    return next((model for model in models if model.id == model_id), None)


_current: Catalogue | None = None


def get_catalogue() -> Catalogue:
    """This process's catalogue, of the endpoints that the settings name now."""
    global _current
    endpoints = configured()
    if _current is None or _current.endpoints != endpoints:
        _current = Catalogue(endpoints)
    return _current


async def reset_catalogue() -> None:
    """Forgets all lists and closes this event loop's connections to models."""
    global _current
    _current = None
    from chat.llm.client import close_clients  # web processes never load the library

    await close_clients()
