"""The catalogue: the model lists of all endpoints, refreshed in the background.

A thread reads a list when it is first needed and again when it has expired. Callers wait at most
FIRST_WAIT_S. An endpoint that is down keeps its last list and does not affect the others.

Some services have no list. The models that HOLDFAST_MODELS names for an endpoint replace its list.
With neither a list nor names, the model in HOLDFAST_DEFAULT_MODEL is assumed to exist.
"""

import asyncio
import contextlib
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace

from django.conf import settings

from billing.prices import openrouter as openrouter_prices
from billing.prices.versions import BadPrice
from chat.llm.endpoints import Endpoint, Model, configured_endpoints
from chat.llm.errors import UnknownModelError
from chat.llm.families import PREFERRED
from chat.llm.listing import FetchError, fetch_models, make_named_model

logger = logging.getLogger(__name__)

FRESH_S = 300.0
RETRY_S = 15.0  # after a list could not be read
# The embedded model starts together with the processes that call it, so a failure within this time
# is not reported. Two idle cores load it in 0.6 s; busy ones take longer. `up` is ready as soon as
# the model is, so the first page must not find a failure from the moment before.
STARTING_S = 60.0
STARTING_RETRY_S = 0.1
RECENT_S = 5.0  # a list younger than this is not read again to look for a missing model
FIRST_WAIT_S = 1.5

__all__ = ["Catalogue", "Model", "UnknownModelError", "get_catalogue", "reset_catalogue"]


class Catalogue:
    """Thread-safe, and usable from any event loop."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self.endpoints = endpoints
        self._lists = {endpoint.name: _EndpointList(endpoint) for endpoint in endpoints}

    async def models(self) -> list[Model]:
        """All endpoints' models as last read, in the order of the endpoints."""
        endpoint_lists = self._lists.values()
        for endpoint_list in endpoint_lists:
            if endpoint_list.is_due:
                endpoint_list.refresh()
        await _wait_for_refreshes(
            [each.pending_refresh for each in endpoint_lists if each.is_unknown]
        )
        models = [model for endpoint_list in endpoint_lists for model in endpoint_list.models]
        default = self._unlisted_default(models)
        return [*models, default] if default else models

    def problem(self, endpoint: Endpoint) -> str:
        """Why this endpoint's list is missing; empty if it was read."""
        return self._lists[endpoint.name].problem

    async def find(self, model_id: str) -> Model:
        """The model with this id. Raises UnknownModelError.

        While an endpoint's list cannot be read, any model of it is assumed to exist, so that a
        reply that has started can continue.
        """
        if model := _find_by_id(await self.models(), model_id):
            return model
        endpoint_list = self._lists.get(model_id.partition("/")[0])
        if endpoint_list is None or endpoint_list.endpoint.optional and not endpoint_list.models:
            raise UnknownModelError(model_id)
        if endpoint_list.age_s > RECENT_S:
            await _wait_for_refreshes([endpoint_list.refresh()])
        if model := _find_by_id(endpoint_list.models, model_id):
            return model
        if endpoint_list.age_s == float("inf") and model_id.partition("/")[2]:
            return make_named_model(endpoint_list.endpoint, model_id.partition("/")[2])
        raise UnknownModelError(model_id)

    async def default_id(self) -> str | None:
        """The id of the default model; None if there are no models.

        It is HOLDFAST_DEFAULT_MODEL if the catalogue has it. Otherwise it is chosen from the first
        endpoint that has models: the first one in PREFERRED, or else the cheapest, or else the
        first in the list.
        """
        models = await self.models()
        wanted = settings.DEFAULT_MODEL
        for model in models:
            if wanted and wanted in (model.id, model.provider_name):
                return model.id
        if not models:
            return None
        endpoint = models[0].endpoint
        listed = [model for model in models if model.endpoint == endpoint]
        candidates = [model for model in listed if model.writes] or listed
        for name in PREFERRED.get(endpoint.name, ()):
            if preferred := _find_by_id(candidates, f"{endpoint.name}/{name}"):
                return preferred.id
        return (_cheapest(candidates) or candidates[0]).id

    def _unlisted_default(self, models: list[Model]) -> Model | None:
        """HOLDFAST_DEFAULT_MODEL, if its endpoint has no list."""
        wanted = settings.DEFAULT_MODEL
        if not wanted or any(wanted in (model.id, model.provider_name) for model in models):
            return None
        unlisted = {
            name: endpoint_list.endpoint
            for name, endpoint_list in self._lists.items()
            if not endpoint_list.models and not endpoint_list.endpoint.optional
        }
        prefix, _, rest = wanted.partition("/")
        if prefix in self._lists:
            return make_named_model(unlisted[prefix], rest) if rest and prefix in unlisted else None
        unlisted.pop("local", None)  # Has a list as soon as it has started.
        first = next(iter(unlisted.values()), None)
        return make_named_model(first, wanted) if first else None


class _EndpointList:
    """The model list of one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.problem = ""
        self._listed: list[Model] = []
        self.pending_refresh: Future[None] | None = None
        self._read_at = self._tried_at = float("-inf")
        self._first_tried_at: float | None = None
        self._logged_problem = ""
        self._lock = threading.Lock()

    @property
    def models(self) -> list[Model]:
        """The models named in HOLDFAST_MODELS, with details from the list; else the whole list."""
        if not self.endpoint.named:
            return self._listed
        listed = {model.provider_name: model for model in self._listed}
        models = []
        for name, window in self.endpoint.named:
            model = listed.get(name) or make_named_model(self.endpoint, name)
            models.append(replace(model, context_tokens=window) if window else model)
        return models

    @property
    def age_s(self) -> float:
        """Seconds since the list was read; infinite if it never was."""
        return time.monotonic() - self._read_at

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of the models yet, or only the names in HOLDFAST_MODELS."""
        return not self.models or not (self._listed or self.problem)

    @property
    def is_starting(self) -> bool:
        """Whether this is the embedded model, which may still be loading."""
        first = self._first_tried_at
        is_early = first is None or time.monotonic() - first < STARTING_S
        return self.endpoint.is_embedded and self.age_s == float("inf") and is_early

    @property
    def is_due(self) -> bool:
        retry_s = STARTING_RETRY_S if self.is_starting else RETRY_S
        return self.age_s >= FRESH_S and time.monotonic() - self._tried_at >= retry_s

    def refresh(self) -> Future[None]:
        """Starts reading the list in a thread, or returns the future of a read in progress."""
        with self._lock:
            if self.pending_refresh is None:
                self._tried_at = time.monotonic()
                if self._first_tried_at is None:
                    self._first_tried_at = self._tried_at
                self.pending_refresh = Future()
                name = f"models-{self.endpoint.name}"
                args = (self.pending_refresh,)
                threading.Thread(target=self._read, args=args, name=name, daemon=True).start()
            return self.pending_refresh

    def _read(self, pending_refresh: "Future[None]") -> None:
        problem = "its list of models could not be parsed"
        try:
            models = fetch_models(self.endpoint)
        except FetchError as e:
            problem = f"its list of models could not be read: {e}"
        except Exception:  # An unexpected format must not stop later refreshes.
            logger.exception("the model list of %s could not be parsed", self.endpoint.name)
        else:
            self._listed, self._read_at = models, time.monotonic()
            problem = "" if models else "its list has no chat model"
        finally:
            self.problem = problem
            self._log_problem()
            self.pending_refresh = None
            pending_refresh.set_result(None)

    def _log_problem(self) -> None:
        """Logs a problem when it changes, but not while the embedded model starts."""
        if self.endpoint.optional or self.problem and self.is_starting:
            return
        if self.problem and self.problem != self._logged_problem:
            logger.warning("%s: %s", self.endpoint.name, self.problem)
        self._logged_problem = self.problem


async def _wait_for_refreshes(refreshes: "list[Future[None] | None]") -> None:
    pending = [asyncio.wrap_future(refresh) for refresh in refreshes if refresh is not None]
    if pending:
        await asyncio.wait(pending, timeout=FIRST_WAIT_S)


def _find_by_id(models: list[Model], model_id: str) -> Model | None:
    return next((model for model in models if model.id == model_id), None)


def _cheapest(models: list[Model]) -> Model | None:
    """The model with the lowest price in its list, except zero: providers limit free models."""
    prices = {}
    for model in models:
        with contextlib.suppress(BadPrice):
            rates = openrouter_prices.read(dict(model.pricing))
            prices[model.id] = rates.input_micro_usd + rates.output_micro_usd
    priced = [model for model in models if prices.get(model.id)]
    return min(priced, key=lambda model: prices[model.id], default=None)


_current: Catalogue | None = None


def get_catalogue() -> Catalogue:
    """This process's catalogue, replaced when the configured endpoints change."""
    global _current
    endpoints = configured_endpoints()
    if _current is None or _current.endpoints != endpoints:
        _current = Catalogue(endpoints)
    return _current


async def reset_catalogue() -> None:
    """Forgets all lists and closes this event loop's connections to models."""
    global _current
    _current = None
    from chat.llm.client import close_clients  # Web processes must not load `openai`.

    await close_clients()
