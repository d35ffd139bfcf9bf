"""CORS as Core Tools serves it: the `CORS` of local.settings.json's `Host`. In Azure the platform does this, by the
app's own CORS setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.azure.functions_host.http_frontend import answer
from lab.azure.functions_host.http_request import Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Cors:
    """`origins` that may call, `*` for any; `credentials`: cookies too."""

    origins: frozenset[str]
    credentials: bool = False

    @classmethod
    def of(cls, text: str, *, credentials: bool = False) -> Cors | None:
        """From a comma-separated list; None from an empty one."""
        origins = frozenset(origin.strip().rstrip("/").lower() for origin in text.split(",") if origin.strip())
        return cls(origins, credentials) if origins else None

    def headers(self, origin: str) -> Headers:
        """The CORS headers for this origin; none if it may not call."""
        if "*" in self.origins and not self.credentials:
            return [(b"Access-Control-Allow-Origin", b"*")]
        if "*" not in self.origins and origin.lower() not in self.origins:
            return []
        allowed = [(b"Access-Control-Allow-Origin", origin.encode("latin-1")), (b"Vary", b"Origin")]
        return [*allowed, (b"Access-Control-Allow-Credentials", b"true")] if self.credentials else allowed


class CorsFrontend:
    """ASGI application around another."""

    def __init__(self, app: Any, cors: Cors) -> None:
        self._app = app
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
        origin, method = asked.get(b"origin"), asked.get(b"access-control-request-method")
        if origin is None:
            return await self._app(scope, receive, send)  # type: ignore[no-any-return]
        added = self._cors.headers(origin)
        if scope["method"] == "OPTIONS" and method is not None:
            return await preflight(send, added, method, asked.get(b"access-control-request-headers"))

        async def sending(event: Any) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event["headers"], *added]
            await send(event)

        return await self._app(scope, receive, sending)  # type: ignore[no-any-return]


async def preflight(send: Send, allowed: Headers, method: str, headers: str | None) -> None:
    """Answer 204 without calling the app."""
    if allowed:
        allowed = [*allowed, (b"Access-Control-Allow-Methods", method.encode("latin-1"))]
        if headers:
            allowed.append((b"Access-Control-Allow-Headers", headers.encode("latin-1")))
    await answer(send, 204, allowed)
