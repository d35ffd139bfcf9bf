"""POST /admin/functions/NAME fires a timer now. It is the only part of the real host's admin API that this host has."""

from __future__ import annotations

from collections.abc import Mapping

from lab.azure.functions_host.http_frontend import HttpFrontend, Keys, answer, given_key
from lab.azure.functions_host.http_request import Receive, Scope, Send, header_values, query_values
from lab.azure.functions_host.timer_trigger import TimerTrigger

PREFIX = "/admin/functions/"


class TimersByHand:
    """ASGI application: the timers' addresses, which want the master key if there is one; the app for the rest."""

    def __init__(self, app: HttpFrontend, timers: Mapping[str, TimerTrigger], keys: Keys) -> None:
        self._app = app
        self._timers = {f"{PREFIX}{name.lower()}": timer for name, timer in timers.items()}
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        timer = self._timers.get(str(scope.get("path", "")).lower()) if scope.get("method") == "POST" else None
        if timer is None:
            return await self._app(scope, receive, send)
        given = given_key(header_values(scope["headers"]), query_values(scope["query_string"].decode("latin-1")))
        if not self._keys.allow("ADMIN", given):
            return await answer(send, 401)
        timer.fire()
        return await answer(send, 202)
