"""Small function apps for the tests of the light host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import azure.functions as func

from lab.azure.functions_host import FunctionIndex, index_app


def http_app(*routes: tuple[str, str | None, Iterable[str] | None]) -> func.FunctionApp:
    """An app with one function per (name, route, methods); each answers its own name."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for name, route, methods in routes:
        add_http(app, name, route, methods)
    return app


def add_http(app: func.FunctionApp, name: str, route: str | None, methods: Iterable[str] | None) -> None:
    def function(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(name)

    named(app, name, function, app.route(route=route, methods=methods))


def named(app: func.FunctionApp, name: str, function: Callable[..., Any], decorator: Callable[..., Any]) -> None:
    """Register a function under a name."""
    app.function_name(name)(decorator(function))


def index(app: func.FunctionApp, settings: Mapping[str, str] | None = None) -> FunctionIndex:
    return index_app(app, settings or {})
