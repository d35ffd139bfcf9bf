"""JSON as Json.NET, the host's library, reads and writes it. The host does this to every str that a function returns.

It accepts comments, single quotes, bare names, trailing commas and NaN, and writes indented.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

SPACE = re.compile(r"(?:\s|/\*.*?\*/|//[^\r\n]*)*", re.DOTALL)
NAME = re.compile(r"[\w$]+")
NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
OCTAL = re.compile(r"0\d+")
WORDS = {"true": True, "false": False, "null": None, "undefined": None, "NaN": math.nan, "Infinity": math.inf}
WORDS["-Infinity"] = -math.inf
WORD = re.compile("|".join(WORDS) + r"\b")
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"} | {sign: sign for sign in "\"'\\/"}
DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?(Z|[-+]\d\d:\d\d)?")
ESCAPED_ON_WRITING = str.maketrans({c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"})
MAX_DEPTH = 64


class NotJson(ValueError):
    """The text is no JSON, not even to a lenient reader."""


class Date(str):
    """A text that the library took for a time, as it writes it into an object."""

    __slots__ = ()


def loads(text: str, *, dates: bool = True) -> Any:
    """The value of a text; None for an empty one. `dates`: texts that are times become Dates. Raises NotJson."""
    reader = Reader(text, dates)
    if reader.at_end():
        return None
    value = reader.value(0)
    if not reader.at_end():
        raise NotJson("there is more behind the value")
    return value


class Reader:
    """Reads one text from its start."""

    def __init__(self, text: str, dates: bool) -> None:
        self._text = text
        self._dates = dates
        self._at = 0

    def at_end(self) -> bool:
        """True if only space and comments are left."""
        self._skip()
        return self._at == len(self._text)

    def value(self, depth: int) -> Any:
        """The value that comes next. Raises NotJson."""
        self._skip()
        sign = self._text[self._at : self._at + 1]
        if depth >= MAX_DEPTH and sign in ("{", "["):
            raise NotJson("it is nested too deeply")
        if sign == "{":
            return self._object(depth)
        if sign == "[":
            return self._array(depth)
        if sign and sign in "\"'":
            return dated(self._string(sign)) if self._dates else self._string(sign)
        return self._bare()

    def _skip(self) -> None:
        found = SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _take(self, sign: str) -> bool:
        self._skip()
        taken = self._text.startswith(sign, self._at)
        self._at += len(sign) if taken else 0
        return taken

    def _object(self, depth: int) -> dict[str, Any]:
        self._at += 1
        values: dict[str, Any] = {}
        while not self._take("}"):
            name = self._name()
            if not self._take(":"):
                raise NotJson("a name has no value")
            values[name] = self.value(depth + 1)
            if not self._take(",") and not self._text.startswith("}", self._at):
                raise NotJson("an object is not closed")
        return values

    def _name(self) -> str:
        self._skip()
        sign = self._text[self._at : self._at + 1]
        if sign and sign in "\"'":
            return self._string(sign)
        return self._match(NAME)

    def _array(self, depth: int) -> list[Any]:
        self._at += 1
        values: list[Any] = []
        while not self._take("]"):
            values.append(self.value(depth + 1))
            if not self._take(",") and not self._text.startswith("]", self._at):
                raise NotJson("an array is not closed")
        return values

    def _string(self, quote: str) -> str:
        found = re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}", re.DOTALL).match(self._text, self._at)
        if found is None:
            raise NotJson("a text is not closed")
        self._at = found.end()
        units = ESCAPE.sub(unescaped, found[1]).encode("utf-16", "surrogatepass")  # two escapes may be one character
        return units.decode("utf-16", "replace")

    def _bare(self) -> Any:
        if found := WORD.match(self._text, self._at):
            self._at = found.end()
            return WORDS[found[0]]
        text = self._match(NUMBER)
        if NAME.match(self._text, self._at):
            raise NotJson("a number goes on in letters")
        if text.lower().startswith("0x"):
            return int(text, 16)
        if OCTAL.fullmatch(text):
            return octal(text)
        return float(text) if set(text) & set(".eE") else int(text)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise NotJson(f"unexpected at {self._at}")
        self._at = found.end()
        return found[0]


def octal(digits: str) -> int:
    """A whole number that begins with a zero. Raises NotJson."""
    try:
        return int(digits, 8)
    except ValueError as error:
        raise NotJson(f"{digits} is no octal number") from error


def unescaped(found: re.Match[str]) -> str:
    """What an escape in a text stands for. Raises NotJson."""
    if found[1]:
        return chr(int(found[1], 16))
    if found[2] not in ESCAPES:
        raise NotJson(f"unknown escape {found[0]!r}")
    return ESCAPES[found[2]]


def dated(text: str) -> str:
    """A text; a Date if it is a time in ISO 8601. One with an offset becomes the host's local time, which is UTC."""
    found = DATE.fullmatch(text)
    if found is None:
        return text
    moment, fraction, zone = found[1], (found[2] or "").rstrip("0"), found[3] or ""
    try:
        parsed = datetime.fromisoformat(f"{moment}{zone}")
    except ValueError:
        return text
    if zone not in ("", "Z"):
        moment, zone = f"{parsed.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", "+00:00"
    return Date(f"{moment}.{fraction}{zone}" if fraction else f"{moment}{zone}")


def shown(value: Any) -> str:
    """A value as the body of a response: text unchanged, numbers and booleans as .NET writes them, the rest as JSON."""
    if isinstance(value, Date):
        return f"{datetime.fromisoformat(value[:19]):%m/%d/%Y %H:%M:%S}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (dict, list)):
        return dumps(value)
    return "" if value is None else str(value)


def dumps(value: Any, indent: str | None = "") -> str:
    """JSON indented by two spaces, or without any space if `indent` is None."""
    if isinstance(value, dict):
        colon = ":" if indent is None else ": "
        return enclosed(
            "{}", [f"{text(name)}{colon}{dumps(inner, deeper(indent))}" for name, inner in value.items()], indent
        )
    if isinstance(value, list):
        return enclosed("[]", [dumps(inner, deeper(indent)) for inner in value], indent)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        written = number(value)
        if not math.isfinite(value):
            return f'"{written}"'
        return written if set(written) & set(".E") else f"{written}.0"
    return json.dumps(value)


def deeper(indent: str | None) -> str | None:
    return None if indent is None else indent + "  "


def enclosed(braces: str, items: list[str], indent: str | None) -> str:
    """The items of an object or an array."""
    if indent is None or not items:
        return f"{braces[0]}{','.join(items)}{braces[1]}"
    lines = ",\n".join(f"{deeper(indent)}{item}" for item in items)
    return f"{braces[0]}\n{lines}\n{indent}{braces[1]}"


def text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).translate(ESCAPED_ON_WRITING)


def number(value: float) -> str:
    """A double as .NET writes it: the shortest that reads back, with an exponent from 15 digits on."""
    if not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    mantissa, _, exponent = f"{value!r}".partition("e")
    digits, _, fraction = mantissa.partition(".")
    if not exponent and len(digits.lstrip("-")) < 16:
        return digits if fraction in ("", "0") else mantissa
    power = int(exponent or 0) + len(digits.lstrip("-")) - 1
    sign = "-" if value < 0 else ""
    significant = (digits.lstrip("-") + fraction).rstrip("0")
    point = f".{significant[1:]}" if significant[1:] else ""
    return f"{sign}{significant[0]}{point}E{'+' if power >= 0 else '-'}{abs(power):02d}"
