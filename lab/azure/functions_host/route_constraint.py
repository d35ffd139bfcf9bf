"""The inline constraints of ASP.NET route templates: `{id:int}`, `{code:length(3)}`, `{day:regex(^\\d+$)}`.

Source: "Routing in ASP.NET Core", route constraints.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

Constraint = Callable[[str], bool]

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)
DIGITS = r"(\d[\d,]*\.?\d*|\.\d+)"
NUMBER = re.compile(rf"\s*[+-]?{DIGITS}(e[+-]?\d+)?\s*", re.IGNORECASE | re.ASCII)
DECIMAL = re.compile(rf"\s*([+-]?{DIGITS}|{DIGITS}[+-])\s*", re.ASCII)
LARGEST_DECIMAL = 2**96 - 1
WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
NOT_FINITE = re.compile(r"\s*[+-]?(nan|infinity)\s*", re.IGNORECASE)
HEX = "[0-9a-f]"
PLAIN_GUID = f"{HEX}{{8}}-({HEX}{{4}}-){{3}}{HEX}{{12}}"
GUID = re.compile(rf"\s*({PLAIN_GUID}|\{{{PLAIN_GUID}\}}|\({PLAIN_GUID}\)|{HEX}{{32}})\s*", re.IGNORECASE)
DATES = (
    *("%Y-%m-%d", "%m-%d-%Y", "%m-%d-%y", "%Y-%m", "%m-%d", "%d-%b-%Y"),
    *("%b %d %Y", "%d %b %Y", "%b %d", "%d %b", "%b %Y"),
)
CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M%p", "%I:%M:%S%p")
CLOCK = re.compile(
    r"(?P<date>.*?)(?:^|[T ])(?P<clock>\d\d?:\d\d(?::\d\d)?)(?:\.\d+)? ?(?P<half>[AP]M)? ?(?:Z|GMT|[+-]\d\d?:?\d\d)?",
    re.IGNORECASE,
)
WEEKDAY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]* ", re.IGNORECASE)
MONTH = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*", re.IGNORECASE)
ALPHA = re.compile(r"[a-z]*", re.IGNORECASE | re.ASCII)


class RouteConstraintError(ValueError):
    """The constraint is unknown or its argument is wrong; the message names it."""


def whole_in(allowed: range) -> Constraint:
    """A whole number in a range."""
    return lambda text: WHOLE.fullmatch(text) is not None and int(text) in allowed


def is_number(text: str) -> bool:
    """A floating-point number, NaN and Infinity among them."""
    return (NUMBER.fullmatch(text) or NOT_FINITE.fullmatch(text)) is not None


def is_decimal(text: str) -> bool:
    """A .NET decimal: no exponent, at most 96 bits."""
    digits = text.strip(" \t\r\n+-").replace(",", "").partition(".")[0]
    return DECIMAL.fullmatch(text) is not None and int(digits or 0) <= LARGEST_DECIMAL


def is_datetime(text: str) -> bool:
    """A date, a time or both, in the common formats (the real host takes a few more)."""
    plain = MONTH.sub(r"\1", WEEKDAY.sub("", " ".join(text.replace(",", " ").split())))
    found = CLOCK.fullmatch(plain)
    date = re.sub("[/.]", "-", found["date"] if found else plain)
    if found and not any(parses(found["clock"] + (found["half"] or ""), style) for style in CLOCKS):
        return False
    return (found is not None and not date) or any(parses(date, style) for style in DATES)


def parses(text: str, style: str) -> bool:
    """True if the text is a time in this format of strptime; a day without a year is one of this year, as in .NET."""
    if "%d" in style and "%y" not in style.lower():
        text, style = f"{text} {datetime.now(UTC).year}", f"{style} %Y"
    try:
        return bool(datetime.strptime(text, style))
    except ValueError:
        return False


def utf16_length(text: str) -> int:
    """Its length as .NET counts: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


PLAIN: dict[str, Constraint] = {
    "int": whole_in(INT32),
    "long": whole_in(INT64),
    "double": is_number,
    "float": is_number,
    "decimal": is_decimal,
    "bool": lambda text: text.strip().lower() in ("true", "false"),
    "guid": lambda text: GUID.fullmatch(text) is not None,
    "datetime": is_datetime,
    "alpha": lambda text: ALPHA.fullmatch(text) is not None,
    "required": lambda text: text != "",
    "file": lambda text: "." in text.rpartition("/")[2].rstrip("."),
    "nonfile": lambda text: "." not in text.rpartition("/")[2].rstrip("."),
}


# name -> how many arguments it takes, what makes it
WITH_NUMBERS: dict[str, tuple[tuple[int, ...], Callable[[list[int]], Constraint]]] = {
    "length": ((1, 2), lambda n: lambda text: n[0] <= utf16_length(text) <= n[-1]),
    "minlength": ((1,), lambda n: lambda text: utf16_length(text) >= n[0]),
    "maxlength": ((1,), lambda n: lambda text: utf16_length(text) <= n[0]),
    "min": ((1,), lambda n: whole_in(range(n[0], INT64.stop))),
    "max": ((1,), lambda n: whole_in(range(INT64.start, n[0] + 1))),
    "range": ((2,), lambda n: whole_in(range(n[0], n[1] + 1))),
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
        texts = argument.split(",")
        numbers = [int(text) for text in texts if WHOLE.fullmatch(text)]
        least = 0 if "length" in kind else INT64.start
        if len(numbers) == len(texts) and len(numbers) in counts and [least, *numbers] == sorted([least, *numbers]):
            return factory(numbers)
    shown = name if argument is None else f"{name}({argument})"
    raise RouteConstraintError(f"the route constraint {shown} is unknown or takes other arguments")
