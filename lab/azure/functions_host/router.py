"""Finds the HTTP function for a method and a path, by the rules measured on the real host.

The first function by name wins, not the most specific route; one that does not take the method is passed over. Must
never lead to a 405: what is not found is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from lab.azure.functions_host.function import HttpFunction

ESCAPED_SLASH = re.compile(r"%(2f)", re.IGNORECASE)


class Router:
    """`functions` in order of name, all under `prefix` (host.json's routePrefix)."""

    def __init__(self, functions: Iterable[HttpFunction], prefix: str) -> None:
        self._functions = tuple(functions)
        self._prefix = [part.lower() for part in prefix.split("/") if part]

    def match(self, method: str, path: str) -> tuple[HttpFunction, dict[str, str]] | None:
        """The function and its route values for a path as it came over the wire (escaped), None if nothing fits."""
        segments = split_path(path)
        depth = len(self._prefix)
        if segments is None or [segment.lower() for segment in segments[:depth]] != self._prefix:
            return None
        rest = segments[depth:]
        for function in self._functions:
            if function.takes(method) and (values := function.template.match(rest)) is not None:
                return function, values
        return None


def split_path(path: str) -> list[str] | None:
    """The unescaped segments of a path; a trailing slash is ignored; None for an empty segment (`//`)."""
    trimmed = path.removeprefix("/").removesuffix("/")
    segments = trimmed.split("/") if trimmed else []
    if "" in segments or path == "//":
        return None
    return [unescape(segment) for segment in segments] if "%" in path else segments


def unescape(segment: str) -> str:
    """Percent escapes undone, except `%2F` and what is not UTF-8."""
    raw = unquote_to_bytes(ESCAPED_SLASH.sub(r"%25\1", segment))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return segment
