"""Calls a function when its schedule says so, on the running loop; a call that is late delays the next."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime

from azure.functions.meta import Datum

from lab.azure.functions_host.function import TimerFunction
from lab.azure.functions_host.http_frontend import REASON
from lab.azure.functions_host.invocation import FunctionTimeout, Invoker
from lab.azure.functions_host.timer_schedule import TimerSchedule
from lab.azure.functions_host.worker.context import TraceContext
from lab.azure.functions_host.worker.worker import FunctionFailed, WorkerGone


class TimerTrigger:
    """Feeds `function`. `fire` calls it now."""

    def __init__(self, function: TimerFunction, invoker: Invoker) -> None:
        self.function = function
        self._invoker = invoker
        self._schedule = TimerSchedule.parse(function.schedule)
        self._last: datetime | None = None
        self._running: asyncio.Task[None] | None = None
        self._fired: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin, on the running loop; at once if the function is to run on start-up."""
        self._running = asyncio.create_task(self._run(), name=f"timer {self.function.name}")

    async def stop(self, deadline_s: float) -> None:
        """Start no further call and give the running ones `deadline_s` seconds."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        if self._fired:
            await asyncio.wait(self._fired, timeout=deadline_s)

    def fire(self) -> None:
        """Call the function now, beside its schedule."""
        self._begin(REASON)

    async def _run(self) -> None:
        if self.function.run_on_startup:
            self.fire()
        while True:
            due = self._schedule.after(datetime.now(UTC))
            await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
            await asyncio.wait([self._begin(f"Timer fired at {due.isoformat()}")])

    def _begin(self, reason: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._call(reason))
        self._fired.add(task)
        task.add_done_callback(self._fired.discard)
        return task

    async def _call(self, reason: str) -> None:
        last, self._last = self._last, datetime.now(UTC)
        status = {"Last": (last or datetime.min.replace(tzinfo=UTC)).isoformat(), "LastUpdated": None}
        status["Next"] = self._schedule.after(self._last).isoformat()
        told = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": False}
        with contextlib.suppress(FunctionFailed, WorkerGone, FunctionTimeout):  # logged by the invoker
            await self._invoker.invoke(
                self.function, Datum(json.dumps(told), "json"), reason=reason, trace=TraceContext()
            )
