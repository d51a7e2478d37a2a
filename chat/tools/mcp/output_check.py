"""Whether a structured result is what the tool's output schema says.

Both come from a server, so the work is bounded: a schema of a few lines can ask for more than a
lifetime of it. Patterns are not checked, because Python's matcher can take exponential time and
cannot be interrupted; neither are "unevaluated" parts, whose work cannot be counted. Other
documents are not fetched.
"""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any

import orjson

MAX_STEPS = 20_000  # about 0.2 s
MAX_CHECKED_BYTES = 256 * 1024  # of a result; a longer one is not checked
BYTES_A_STEP = 2_000  # An error quotes the value.
NOT_CHECKED = frozenset(
    {
        "pattern",
        "patternProperties",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$schema",  # It would choose a checker that does not count.
    }
)


class _TooMuchWork(Exception):
    pass


class _Budget:
    def __init__(self, steps_an_error: int) -> None:
        self.left, self.steps_an_error = MAX_STEPS, steps_an_error

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise _TooMuchWork


_budget: ContextVar[_Budget] = ContextVar("_budget")


def is_as_declared(schema: dict[str, Any], value: Any) -> bool:
    """False as well if the schema is not valid, or takes too much work to check. Blocks for up to
    half a second."""
    from referencing import Registry

    size = len(orjson.dumps(value))
    if size > MAX_CHECKED_BYTES:
        return True
    _budget.set(_Budget(size // BYTES_A_STEP))
    try:
        checker = _checker()(_reduced(schema), registry=Registry())
        return next(checker.iter_errors(value), None) is None
    except Exception:  # noqa: BLE001  The library raises anything for a schema that is none.
        return False


@cache
def _checker() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    counted = {name: _counted(check) for name, check in Draft202012Validator.VALIDATORS.items()}
    return extend(Draft202012Validator, counted)


def _counted(check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def counting(validator: Any, keyword: Any, instance: Any, schema: Any) -> Iterator[Any]:
        budget = _budget.get()
        sizes = [len(part) for part in (keyword, instance) if isinstance(part, list | dict)]
        budget.spend(1 + sum(sizes))
        if check.__name__ == "uniqueItems" and isinstance(instance, list):
            budget.spend(len(instance) ** 2 // 8)
        for error in check(validator, keyword, instance, schema) or ():
            budget.spend(budget.steps_an_error)
            yield error

    return counting


def _reduced(schema: Any) -> Any:
    """The schema without what is not checked."""
    if isinstance(schema, list):
        return [_reduced(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _reduced(part) for name, part in schema.items() if name not in NOT_CHECKED}
    if "patternProperties" in schema:  # Otherwise these would be additional ones.
        kept.pop("additionalProperties", None)
    return kept
