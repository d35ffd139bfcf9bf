"""Lets a worker call a function once, within functionTimeout, and logs start and end as the host does.

Must never log an argument: a body, a key, a query or a header.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Mapping

from azure.functions.meta import Datum

from lab.azure.functions_host.function import Function
from lab.azure.functions_host.worker.context import TraceContext
from lab.azure.functions_host.worker.worker import Call, FunctionFailed, Host, WorkerGone

log = logging.getLogger("host")


class FunctionTimeout(Exception):
    """The function ran longer than functionTimeout: its worker is replaced."""


class Invoker:
    """Calls functions through `worker`. `timeout_s`: functionTimeout, None for no limit."""

    def __init__(self, worker: Host, *, timeout_s: float | None) -> None:
        self._worker = worker
        self._timeout_s = timeout_s

    async def invoke(
        self,
        function: Function,
        data: Datum | None,
        *,
        reason: str,
        trace: TraceContext,
        metadata: Mapping[str, Datum] | None = None,
    ) -> Datum | None:
        """Call `function` with its trigger's `data` and return its result. Start and end are logged.

        Raises FunctionFailed, WorkerGone or FunctionTimeout, each already logged.
        """
        invocation_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        log.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", function.name, reason, invocation_id)
        started = time.perf_counter()
        call = Call(invocation_id, function.name, data, metadata or {}, trace)
        try:
            result = await self._bounded(call)
        except BaseException as error:
            self._log_end(call, started, error)
            raise
        self._log_end(call, started, None)
        return result

    async def _bounded(self, call: Call) -> Datum | None:
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                return await self._worker.call(call)
        except TimeoutError as error:
            if limit.expired():
                self._worker.timed_out()
                raise FunctionTimeout(f"{call.function} ran longer than {self._timeout_s:g} s") from error
            raise

    def _log_end(self, call: Call, started: float, error: BaseException | None) -> None:
        took_ms = round((time.perf_counter() - started) * 1000)
        message = "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)"
        if error is None:
            log.info(message, call.function, "Succeeded", call.invocation_id, took_ms)
            return
        told = str(error) if isinstance(error, (FunctionFailed, WorkerGone)) else f"{type(error).__name__}: {error}"
        log.error(f"{message}\n%s", call.function, "Failed", call.invocation_id, took_ms, told)
