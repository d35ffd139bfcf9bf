"""The host: one app's index, its HTTP front end and its Service Bus triggers, put together.

Must stay up whatever the app does: an app that cannot be imported answers 404 everywhere, as on the real host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.azure.functions_host.function_index import FunctionIndex
from lab.azure.functions_host.host_json import HostConfig
from lab.azure.functions_host.http_frontend import MAX_BODY, HttpFrontend
from lab.azure.functions_host.invocation import Invoker
from lab.azure.functions_host.router import Router
from lab.azure.functions_host.service_bus_trigger import ServiceBusTrigger

log = logging.getLogger("host")

STOP_DEADLINE_S = 30.0


class FunctionsHost:
    """Serves an index. `frontend` is the ASGI application; `start` and `stop` are for the Service Bus triggers.

    `key` None: keys are ignored; `max_body`: bytes.
    """

    def __init__(
        self,
        index: FunctionIndex,
        config: HostConfig,
        *,
        directory: Path,
        key: str | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        self.index = index
        self.config = config
        self._invoker = Invoker(timeout_s=config.function_timeout_s, directory=str(directory))
        router = Router(index.http, config.route_prefix)
        self.frontend = HttpFrontend(router, self._invoker, key=key, max_body=max_body)
        self.triggers = [
            ServiceBusTrigger(function, self._invoker, config.service_bus) for function in index.service_bus
        ]

    async def start(self) -> None:
        """Log what cannot be served and start receiving messages."""
        for name, reason in self.index.errors.items():
            log.error("The '%s' function is in error: %s", name, reason)
        for trigger in self.triggers:
            trigger.start()

    async def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """Receive no further message, finish the running calls within `deadline_s` seconds, close."""
        await asyncio.gather(*(trigger.stop(deadline_s) for trigger in self.triggers))
        self._invoker.close()

    def describe(self, url: str) -> dict[str, Any]:
        """What it serves under `url` (scheme, host, port), to be shown to people; JSON."""
        return {
            "http": [self._describe_http(function.name, url) for function in self.index.http],
            "service_bus": [{"name": f.name, "entity": f.entity} for f in self.index.service_bus],
            "errors": dict(self.index.errors),
        }

    def _describe_http(self, name: str, url: str) -> Mapping[str, Any]:
        function = next(function for function in self.index.http if function.name == name)
        path = "/".join(part for part in (self.config.route_prefix, function.route) if part)
        methods = sorted(function.methods) if function.methods is not None else []
        return {"name": name, "methods": methods, "url": f"{url}/{path}", "auth_level": function.auth_level}
