"""The page /docs: Swagger UI over an app's OpenAPI document, without the network. The real host has no such page.

Redirects `/` to it; the real host shows a page of its own there.
Must leave every other path to the app, and load nothing from anywhere else.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lab.azure.functions_host.host import FunctionsHost
from lab.azure.functions_host.http_frontend import answer
from lab.azure.functions_host.http_request import Receive, Scope, Send
from lab.azure.functions_host.timers_by_hand import TimersByHand

PAGE = "/docs"
ROUTE = "openapi.json"
PACKAGE = "flask_swagger_ui"  # it carries Swagger UI's files; never imported, so neither is Flask
POLICY = b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
CONTENT_TYPES = {".css": b"text/css", ".js": b"text/javascript", ".png": b"image/png", ".html": b"text/html"}
ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")

HTML = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon-32x32.png">
<main id="page"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
SCRIPT = 'window.ui = SwaggerUIBundle({url: "%s", dom_id: "#page", deepLinking: true, tryItOutEnabled: true});\n'


def with_docs(host: FunctionsHost) -> DocsPage | TimersByHand:
    """The host's HTTP side, with the page if the app has a document to show."""
    description = description_of(host)
    return host.frontend if description is None else DocsPage(host.frontend, description)


def description_of(host: FunctionsHost) -> str | None:
    """The path of an app's OpenAPI document; None if it serves none to everybody, or if Swagger UI is not installed."""
    if assets_folder() is None:
        return None
    for function in host.index.http:
        if (function.route, function.auth_level) == (ROUTE, "ANONYMOUS") and function.takes("GET"):
            return "/" + "/".join(part for part in (host.config.http.route_prefix, ROUTE) if part)
    return None


def assets_folder() -> Path | None:
    """Where the package has Swagger UI's files, None if it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "dist"


class DocsPage:
    """ASGI application: the page and its assets, and the app for all the rest. `description`: path of the document."""

    def __init__(self, app: TimersByHand, description: str) -> None:
        folder = assets_folder()
        if folder is None:
            raise LookupError(f"the package {PACKAGE} is not installed")
        self._app = app
        self._has_prefix = description != f"/{ROUTE}"  # without one, `/` may be a function
        self._made = {PAGE: (HTML, ".html"), f"{PAGE}/start.js": (SCRIPT % description, ".js")}
        self._files = {f"{PAGE}/{name}": folder / name for name in ASSETS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "GET"
        if asked and scope["path"] == "/" and self._has_prefix:
            return await answer(send, 302, [(b"Location", PAGE.encode())])
        found = self._find(scope["path"]) if asked else None
        if found is None:
            return await self._app(scope, receive, send)
        body, suffix = found
        headers = [
            (b"Content-Type", CONTENT_TYPES[suffix] + b"; charset=utf-8"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Content-Security-Policy", POLICY),
        ]
        return await answer(send, 200, headers, body)

    def _find(self, path: str) -> tuple[bytes, str] | None:
        """The content at a path and the suffix of its kind."""
        if path in self._made:
            text, suffix = self._made[path]
            return text.encode(), suffix
        if path in self._files:
            return self._files[path].read_bytes(), self._files[path].suffix
        return None
