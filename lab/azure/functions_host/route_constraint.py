"""The inline constraints of ASP.NET route templates: `{id:int}`, `{code:length(3)}`, `{day:regex(^\\d+$)}`.

Source: "Routing in ASP.NET Core", route constraints. Must never treat an unknown constraint as fulfilled.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import datetime

Constraint = Callable[[str], bool]

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)
NUMBER = re.compile(r"\s*[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.IGNORECASE | re.ASCII)
WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
ALPHA = re.compile(r"[a-z]*", re.IGNORECASE | re.ASCII)


class RouteConstraintError(ValueError):
    """The constraint is unknown or its argument is wrong; the message names it."""


def whole_in(allowed: range) -> Constraint:
    """A whole number in a range."""
    return lambda text: WHOLE.fullmatch(text) is not None and int(text) in allowed


def is_guid(text: str) -> bool:
    """A GUID with or without hyphens or braces."""
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def is_datetime(text: str) -> bool:
    """An ISO 8601 date or date and time (the real host takes more formats)."""
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


PLAIN: dict[str, Constraint] = {
    "int": whole_in(INT32),
    "long": whole_in(INT64),
    "double": lambda text: NUMBER.fullmatch(text) is not None,
    "float": lambda text: NUMBER.fullmatch(text) is not None,
    "decimal": lambda text: NUMBER.fullmatch(text) is not None,
    "bool": lambda text: text.strip().lower() in ("true", "false"),
    "guid": is_guid,
    "datetime": is_datetime,
    "alpha": lambda text: ALPHA.fullmatch(text) is not None,
    "required": lambda text: text != "",
    "file": lambda text: "." in text.rpartition("/")[2].rstrip("."),
    "nonfile": lambda text: "." not in text.rpartition("/")[2].rstrip("."),
}


def length(arguments: list[int]) -> Constraint:
    """`length(n)` or `length(least,most)`."""
    least, most = arguments[0], arguments[-1]
    return lambda text: least <= len(text) <= most


def minimum(arguments: list[int]) -> Constraint:
    """`min(n)`: a 64-bit whole number of at least n."""
    return whole_in(range(arguments[0], INT64.stop))


def maximum(arguments: list[int]) -> Constraint:
    """`max(n)`: a 64-bit whole number of at most n."""
    return whole_in(range(INT64.start, arguments[0] + 1))


def between(arguments: list[int]) -> Constraint:
    """`range(least,most)`: a whole number in that range."""
    return whole_in(range(arguments[0], arguments[1] + 1))


# name -> how many arguments it takes, what makes it
WITH_NUMBERS: dict[str, tuple[tuple[int, ...], Callable[[list[int]], Constraint]]] = {
    "length": ((1, 2), length),
    "minlength": ((1,), lambda arguments: lambda text: len(text) >= arguments[0]),
    "maxlength": ((1,), lambda arguments: lambda text: len(text) <= arguments[0]),
    "min": ((1,), minimum),
    "max": ((1,), maximum),
    "range": ((2,), between),
}


def matching(pattern: str) -> Constraint:
    """`regex(pattern)`: found anywhere in the value, whatever its case. Raises RouteConstraintError."""
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise RouteConstraintError(f"the route constraint regex({pattern}) is wrong: {error}") from error
    return lambda text: compiled.search(text) is not None


def make_constraint(name: str, argument: str | None) -> Constraint:
    """The constraint `name` or `name(argument)`. Raises RouteConstraintError if it is unknown or malformed."""
    kind = name.lower()
    if kind == "regex" and argument is not None:
        return matching(argument)
    if kind in PLAIN and argument is None:
        return PLAIN[kind]
    if kind in WITH_NUMBERS and argument is not None:
        counts, factory = WITH_NUMBERS[kind]
        numbers = [part.strip() for part in argument.split(",")]
        if len(numbers) in counts and all(WHOLE.fullmatch(number) for number in numbers):
            return factory([int(number) for number in numbers])
    shown = name if argument is None else f"{name}({argument})"
    raise RouteConstraintError(f"the route constraint {shown} is unknown or takes other arguments")
