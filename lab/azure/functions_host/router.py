"""Finds the HTTP function for a method and a path, by the rules measured on the real host.

The first function by name wins, not the most specific route; one that does not take the method is passed over. What is
not found is not there: never a 405.
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.azure.functions_host.function import HttpFunction
from lab.azure.functions_host.function_index import HostStartError
from lab.azure.functions_host.route_template import RouteTemplate, RouteTemplateError


class Router:
    """`functions` in order of name, all under `prefix` (host.json's routePrefix). Raises HostStartError."""

    def __init__(self, functions: Iterable[HttpFunction], prefix: str) -> None:
        self._routes = [(function, template(function, prefix)) for function in functions]

    def match(self, method: str, path: str) -> tuple[HttpFunction, dict[str, str]] | None:
        """The function and its route values for a normalized path, None if nothing fits."""
        segments = split_path(path)
        end = "/" if path.endswith("/") else ""
        for function, route in self._routes:
            if function.takes(method) and (values := route.match(segments, end)) is not None:
                return function, values
        return None


def template(function: HttpFunction, prefix: str) -> RouteTemplate:
    """A function's whole route. Raises HostStartError, as one wrong route keeps the real host from starting."""
    route = f"{prefix}/{function.route}" if prefix else function.route
    try:
        return RouteTemplate.parse(route)
    except RouteTemplateError as error:
        raise HostStartError(f"the function {function.name} has the route {route!r}: {error}") from error


def split_path(path: str) -> list[str]:
    """The segments of a path, without its trailing slash."""
    trimmed = path.removeprefix("/").removesuffix("/")
    return trimmed.split("/") if trimmed else []
