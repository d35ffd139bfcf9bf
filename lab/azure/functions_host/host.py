"""The host: one app's index, its HTTP front end and its Service Bus triggers, put together.

Must stay up whatever the app does: an app that cannot be imported answers 404 everywhere, as on the real host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.azure.functions_host.function import HttpFunction
from lab.azure.functions_host.function_index import FunctionIndex
from lab.azure.functions_host.host_json import HostConfig
from lab.azure.functions_host.http_frontend import HttpFrontend, Keys
from lab.azure.functions_host.invocation import Invoker
from lab.azure.functions_host.service_bus_trigger import ServiceBusTrigger
from lab.azure.functions_host.timer_trigger import TimerTrigger
from lab.azure.functions_host.timers_by_hand import TimersByHand
from lab.azure.functions_host.worker.worker import Host, Worker

log = logging.getLogger("host")

STOP_DEADLINE_S = 30.0


class FunctionsHost:
    """Serves an index. `frontend` is the ASGI application; `start` and `stop` are for the other triggers.

    `worker` None: one in this process, whose folder is `directory`; `keys`: those that callers give; `settings`: the
    app's.
    Raises HostStartError if the real host would not start with these functions.
    """

    def __init__(
        self,
        index: FunctionIndex,
        config: HostConfig,
        *,
        directory: Path,
        worker: Host | None = None,
        keys: Keys | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.index = index
        self.config = config
        self._worker = worker or Worker(index.app, str(directory))
        invoker = Invoker(self._worker, timeout_s=config.function_timeout_s)
        self.timers = {timer.name: TimerTrigger(timer, invoker) for timer in index.timers}
        functions = HttpFrontend(index.http, config.http, invoker, keys=keys, settings=settings)
        self.frontend = TimersByHand(functions, self.timers, keys or Keys())
        bus = index.service_bus if config.service_bus.max_concurrent_calls else ()
        self.triggers = [ServiceBusTrigger(function, invoker, config.service_bus) for function in bus]

    async def start(self) -> None:
        """Log what cannot be served and start receiving messages."""
        for name, reason in self.index.errors.items():
            log.error("The '%s' function is in error: %s", name, reason)
        if self.index.service_bus and not self.triggers:
            log.error("No Service Bus function gets a message: host.json's maxConcurrentCalls is 0")
        for trigger in self._all():
            trigger.start()

    async def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """Receive no further message, finish the running calls within `deadline_s` seconds, close."""
        await asyncio.gather(*(trigger.stop(deadline_s) for trigger in self._all()))
        self._worker.close()

    def _all(self) -> list[ServiceBusTrigger | TimerTrigger]:
        return [*self.triggers, *self.timers.values()]

    def describe(self, url: str) -> dict[str, Any]:
        """What it serves under `url` (scheme, host, port), to be shown to people; JSON."""
        return {
            "http": [self._describe_http(function, url) for function in self.index.http if not function.disabled],
            "service_bus": [{"name": f.name, "entity": f.entity} for f in self.index.service_bus],
            "timers": [{"name": f.name, "schedule": f.schedule} for f in self.index.timers],
            "errors": dict(self.index.errors),
        }

    def _describe_http(self, function: HttpFunction, url: str) -> Mapping[str, Any]:
        path = "/".join(part for part in (self.config.http.route_prefix, function.route) if part)
        methods = sorted(function.methods) if function.methods is not None else []
        return {"name": function.name, "methods": methods, "url": f"{url}/{path}", "auth_level": function.auth_level}
