"""The HTTP side of the host as an ASGI application: request in, `func.HttpRequest`, function, response out.

Every rule here was measured on the real host. Must never log a key, a query or a header, and never hold more of a body
than its limit.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import azure.functions as func

from lab.azure.functions_host.function import HttpFunction
from lab.azure.functions_host.invocation import Invoker, trace_context
from lab.azure.functions_host.router import Router

log = logging.getLogger("host")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 100 * 1024 * 1024  # bytes; measured: above it the real host answers 500
REASON = "This function was programmatically called via the host APIs."
TEXT = "text/plain; charset=utf-8"
FRAMING = ("content-length", "transfer-encoding", "connection")  # the server's own business


class BodyTooLarge(ValueError):
    """The request's body is over the limit."""


class ClientGone(ConnectionError):
    """The client left before its whole body arrived: nobody waits for an answer."""


class HttpFrontend:
    """ASGI application. `key` None: keys are ignored, as `func start` does; else it is the host key."""

    def __init__(self, router: Router, invoker: Invoker, *, key: str | None = None, max_body: int = MAX_BODY) -> None:
        self._router = router
        self._invoker = invoker
        self._key = key
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the host does not speak {scope['type']}")
        method = str(scope["method"]).upper()
        found = self._router.match(method, scope["raw_path"].decode("latin-1"))
        if found is None:
            return await answer(send, 404)
        function, route_values = found
        query = query_values(scope["query_string"].decode("latin-1"))
        headers = header_values(scope["headers"])
        if not self._may_call(function, headers, query):
            return await answer(send, 401)
        try:
            body = await read_body(headers, receive, self._max_body)
        except BodyTooLarge as error:
            log.error("%s: %s", function.name, error)  # noqa: TRY400 - the client's fault needs no traceback
            return await answer(send, 500, [(b"Connection", b"close")])
        except ClientGone:
            return None
        request = func.HttpRequest(
            method, url_of(scope, headers), headers=headers, params=query, route_params=route_values, body=body
        )
        return await self._respond(function, request, headers, send)

    def _may_call(self, function: HttpFunction, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        if self._key is None or function.auth_level == "ANONYMOUS":
            return True
        if function.auth_level != "FUNCTION":  # ADMIN wants the master key, which this host does not have
            return False
        given = headers.get("x-functions-key", query.get("code", ""))
        return hmac.compare_digest(given.encode(), self._key.encode())

    async def _respond(
        self, function: HttpFunction, request: func.HttpRequest, headers: Mapping[str, str], send: Send
    ) -> None:
        trace = trace_context(headers.get("traceparent"), headers.get("tracestate"))
        try:
            result = await self._invoker.invoke(function, request, reason=REASON, trace=trace)
            response = to_response(function, result)
        except Exception:  # noqa: BLE001 - the function's own error, logged by the invoker
            return await answer(send, 500)
        return await answer(send, response.status_code, response_headers(response), response.get_body())


def to_response(function: HttpFunction, result: Any) -> func.HttpResponse:
    """What the function returned as a response; None is 204. Raises TypeError, which is logged."""
    if isinstance(result, func.HttpResponse):
        return result
    if isinstance(result, str):
        return func.HttpResponse(result)
    if result is None:
        return func.HttpResponse(status_code=204)
    error = TypeError(f"{function.name} returned {type(result).__name__}, it must return a str or an HttpResponse")
    log.error("%s", error)
    raise error


def response_headers(response: func.HttpResponse) -> list[tuple[bytes, bytes]]:
    """The response's headers as the worker passes them on: one per name but for cookies, a content type in any case."""
    single: dict[str, tuple[str, str]] = {"content-type": ("Content-Type", content_type(response))}
    cookies = []
    for name, value in response.headers.items():
        if name.lower() == "set-cookie":
            cookies.append((name, value))
        elif name.lower() not in FRAMING:
            single[name.lower()] = (name, value)
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*single.values(), *cookies)]


def content_type(response: func.HttpResponse) -> str:
    """The content type that the response's mimetype and charset stand for."""
    charset = f"; charset={response.charset}" if response.mimetype.startswith("text/") else ""
    return f"{response.mimetype}{charset}"


async def answer(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b"") -> None:
    """Send a response: chunked as the real host's if it has a body, else with a length of 0."""
    framing = [] if body or status in (204, 304) else [(b"Content-Length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *framing]})
    await send({"type": "http.response.body", "body": body})


def query_values(query: str) -> dict[str, str]:
    """The query's values, unescaped: repeated keys (whatever their case) joined with a comma, empty ones dropped."""
    if not query:
        return {}
    values: dict[str, tuple[str, list[str]]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name.lower(), (name, []))[1].append(value)
    return {name: joined for name, parts in values.values() if (joined := ",".join(parts))}


def header_values(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by lower-case name, repeated ones joined with a comma."""
    values: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def url_of(scope: Scope, headers: Mapping[str, str]) -> str:
    """The absolute URL of a request, query included."""
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1")
    return f"{scope['scheme']}://{headers.get('host', '')}{path}{'?' if query else ''}{query}"


async def read_body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    """The body of a request; empty if it is chunked, as on the real host. Raises BodyTooLarge or ClientGone."""
    declared = headers.get("content-length", "")
    if "transfer-encoding" in headers or not declared.isdecimal():
        return b""
    if int(declared) > limit:
        raise BodyTooLarge(f"the request's body of {declared} bytes is over the limit of {limit}")
    parts: list[bytes] = []
    more = int(declared) > 0
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        parts.append(event.get("body", b""))
        more = bool(event.get("more_body", False))
    return b"".join(parts)
