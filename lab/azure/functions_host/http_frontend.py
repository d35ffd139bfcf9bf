"""The HTTP side of the host as an ASGI application: request in, function called, response out.

Must never log a key, a query or a header, and never hold more of a body than its limit.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from lab.azure.functions_host.function import HttpFunction
from lab.azure.functions_host.host_json import HttpOptions
from lab.azure.functions_host.http_gate import Gate, TooManyRequests
from lab.azure.functions_host.http_request import (
    BodyTooLarge,
    ClientGone,
    Receive,
    Scope,
    Send,
    header_values,
    query_values,
    read_body,
    request_datum,
)
from lab.azure.functions_host.http_response import BadLength, BadResponse, to_response
from lab.azure.functions_host.invocation import FunctionTimeout, Invoker
from lab.azure.functions_host.request_path import normalize, target_path
from lab.azure.functions_host.router import Router
from lab.azure.functions_host.worker.context import trace_context
from lab.azure.functions_host.worker.worker import FunctionFailed, WorkerGone

Found = tuple[str, dict[str, str], HttpFunction, dict[str, str]]  # path, headers, the function, the route's values

log = logging.getLogger("host")

MAX_BODY = 100 * 1024 * 1024  # bytes; measured: above it the real host answers 500
REASON = "This function was programmatically called via the host APIs."
HOMEPAGE = b"<!DOCTYPE html>\n<title>Functions</title>\n<p>Your function app runs.\n"  # the real host has one too
CLOSE = (b"Connection", b"close")
SCALE_OUT = (b"X-FUNCTION-SCALEOUT", b"1")  # HttpThrottleMiddleware.cs of the host
BODY_LIMIT, NO_HOMEPAGE = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "AzureWebJobsDisableHomepage"
NO_LENGTH = (204, 304)


@dataclass(frozen=True)
class Keys:
    """The keys that callers give. `function` None: none is asked for, as `func start` does."""

    function: str | None = field(default=None, repr=False)
    master: str | None = field(default=None, repr=False)

    def allow(self, level: str, given: str) -> bool:
        """True if this key, or none, may call a function of this level."""
        if self.function is None or level == "ANONYMOUS" or self.is_master(given):
            return True
        return level != "ADMIN" and same(self.function, given)

    def is_master(self, given: str) -> bool:
        return self.master is not None and same(self.master, given)


def same(key: str, given: str) -> bool:
    return hmac.compare_digest(given.encode(), key.encode())


class HttpFrontend:
    """ASGI application. `settings`: the app's; BODY_LIMIT (bytes) and NO_HOMEPAGE are read."""

    def __init__(
        self,
        functions: Iterable[HttpFunction],
        options: HttpOptions,
        invoker: Invoker,
        *,
        keys: Keys | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        told = settings or {}
        limit = told.get(BODY_LIMIT, "").strip()
        self._router = Router(functions, options.route_prefix)
        self._options = options
        self._gate = Gate(options)
        self._invoker = invoker
        self._keys = keys or Keys()
        self._max_body = int(limit) if limit.isdecimal() else MAX_BODY
        self._homepage = told.get(NO_HOMEPAGE, "").lower() != "true"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the host does not speak {scope['type']}")
        try:
            async with self._gate.turn():
                await self._answer(scope, receive, with_headers(send, self._options.custom_headers))
        except TooManyRequests:
            await answer(send, 429, [SCALE_OUT])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = header_values(scope["headers"])
            path = normalize(target_path(scope["raw_path"].decode("ascii")))
        except UnicodeDecodeError:
            return await answer(send, 400, [CLOSE])
        if "\0" in path:
            return await answer(send, 400, [CLOSE])
        found = self._router.match(str(scope["method"]).upper(), path)
        if found is not None:
            return await self._call(scope, receive, send, (path, headers, *found))
        if path == "/":
            page = (200, [(b"Content-Type", b"text/html")], HOMEPAGE) if self._homepage else (204,)
            return await answer(send, *page)
        return await answer(send, 404)

    async def _call(self, scope: Scope, receive: Receive, send: Send, found: Found) -> None:
        path, headers, function, route = found
        query = query_values(scope["query_string"].decode("latin-1"))
        key = given_key(headers, query)
        if not self._keys.allow(function.auth_level, key):
            return await answer(send, 401)
        if function.disabled and not self._keys.is_master(key):
            return await answer(send, 404)
        try:
            body = await read_body(headers, receive, self._max_body)
            request = request_datum(scope, path, headers, (query, route), body)
            trace = trace_context(headers.get("traceparent"), headers.get("tracestate"))
            result = await self._invoker.invoke(function, request, reason=REASON, trace=trace)
            response = to_response(result)
            return await answer(send, response.status, response.encoded_headers(), response.body)
        except BodyTooLarge as error:
            log.error("%s: %s", function.name, error)  # noqa: TRY400 - the client's fault needs no traceback
            return await answer(send, 500, [CLOSE])
        except ClientGone:
            return None
        except BadResponse as error:
            log.error("%s: %s", function.name, error)  # noqa: TRY400 - the message says it all
            return await answer(send, 500, [CLOSE] if isinstance(error, BadLength) else [])
        except (FunctionFailed, WorkerGone, FunctionTimeout):
            return await answer(send, 500)


def with_headers(send: Send, custom: Mapping[str, str]) -> Send:
    """A `send` that adds host.json's customHeaders to every response that has none of that name."""
    if not custom:
        return send
    added = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in custom.items()]

    async def sending(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            there = {name.lower() for name, _ in event["headers"]}
            event["headers"] = [*event["headers"], *(each for each in added if each[0].lower() not in there)]
        await send(event)

    return sending


def given_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The key of a request. The header goes before the query parameter, whose name may have any case."""
    of_query = next((value for name, value in query.items() if name.lower() == "code"), "")
    return headers.get("x-functions-key", "") or of_query


async def answer(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b"") -> None:
    """Send a response: chunked if it has a body, as the real host does, else with Content-Length 0."""
    told = list(headers)
    if not body and status not in NO_LENGTH and not any(name.lower() == b"content-length" for name, _ in told):
        told.append((b"Content-Length", b"0"))
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
