"""Evaluates arithmetic that a model wrote; its length, depth and numbers have bounds."""

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

import simpleeval

MAX_CHARACTERS = 1_000
# A whole number of this size has 3,010 digits, fewer than Python refuses to print.
MAX_BITS = 10_000
MAX_COUNTED = 1_000
MAX_PLACES = 100

Number = int | float


class ArithmeticRefused(ValueError):
    """Its text tells the model what to change."""


def evaluate(expression: str) -> str:
    """The value of `expression`: a whole number exactly, any other with 15 significant digits.

    Raises ArithmeticRefused for everything that has no such value.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ArithmeticRefused(f"The expression is longer than {MAX_CHARACTERS} characters.")
    try:
        value = _evaluator().eval(expression.strip())
    except ArithmeticRefused:
        raise
    except ZeroDivisionError:
        raise ArithmeticRefused("The expression divides by zero.") from None
    except OverflowError:
        raise ArithmeticRefused("A number is too large.") from None
    except (RecursionError, MemoryError):
        raise ArithmeticRefused("The expression is nested too deeply; use parts of it.") from None
    except (simpleeval.InvalidExpression, SyntaxError, TypeError, ValueError):
        raise ArithmeticRefused(
            "This is not arithmetic that the calculator knows. Write numbers, + - * / // % **, "
            f"parentheses, {', '.join(CONSTANTS)} and these functions: {', '.join(FUNCTIONS)}."
        ) from None
    return _printed(_bounded(value))


def _evaluator() -> simpleeval.SimpleEval:
    evaluator = simpleeval.SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names=CONSTANTS)
    # Only these: no strings, attributes, items, comparisons, assignments or keyword arguments.
    known = (ast.Expr, ast.UnaryOp, ast.BinOp, ast.Call, ast.Name)
    evaluator.nodes = {node: evaluator.nodes[node] for node in known}
    evaluator.nodes[ast.Constant] = _constant
    return evaluator


def _constant(node: ast.Constant) -> Number:
    return _bounded(node.value)


def _bounded(value: Any) -> Number:
    """The value itself, where it is a finite real number of a bounded size."""
    if type(value) is int:
        if value.bit_length() > MAX_BITS:
            raise ArithmeticRefused("A number is too large.")
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise ArithmeticRefused("The result is not a finite real number.")


def _printed(value: Number) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _power(base: Number, exponent: Number) -> Number:
    # Decided before the power is computed, which could take hours.
    if isinstance(base, int) and isinstance(exponent, int):
        bits = abs(exponent) * base.bit_length()
        if abs(base) > 1 and bits > MAX_BITS + base.bit_length():
            raise ArithmeticRefused("A number is too large.")
    return _bounded(base**exponent)


def _round(value: Number, places: int = 0) -> Number:
    if not isinstance(places, int) or abs(places) > MAX_PLACES:
        raise ArithmeticRefused(f"round() takes at most {MAX_PLACES} places.")
    return round(value, places) if places else round(value)


def _counted(function: Callable[..., int]) -> Callable[..., Number]:
    """`function` for small arguments: its results grow faster than powers."""

    def counted(*values: Number) -> Number:
        if any(abs(value) > MAX_COUNTED for value in values):
            raise ArithmeticRefused(f"Factorials and choices go up to {MAX_COUNTED}.")
        return _bounded(function(*values))

    return counted


def _checked(function: Callable[..., Any]) -> Callable[..., Number]:
    return lambda *values: _bounded(function(*values))


OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: _checked(operator.add),
    ast.Sub: _checked(operator.sub),
    ast.Mult: _checked(operator.mul),
    ast.Div: _checked(operator.truediv),
    ast.FloorDiv: _checked(operator.floordiv),
    ast.Mod: _checked(operator.mod),
    ast.Pow: _power,
    ast.UAdd: _checked(operator.pos),
    ast.USub: _checked(operator.neg),
}
_CHECKED: dict[str, Callable[..., Any]] = {
    name: getattr(math, name)
    for name in [
        "sqrt",
        "exp",
        "log",
        "log2",
        "log10",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "atan2",
        "sinh",
        "cosh",
        "tanh",
        "degrees",
        "radians",
        "hypot",
        "floor",
        "ceil",
        "gcd",
        "lcm",
    ]
}
_CHECKED |= {"abs": abs, "min": min, "max": max, "sum": lambda *values: sum(values)}
FUNCTIONS: dict[str, Callable[..., Number]] = {
    **{name: _checked(function) for name, function in _CHECKED.items()},
    **{name: _counted(getattr(math, name)) for name in ("factorial", "comb", "perm")},
    "round": _round,
}
CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}
