"""A worker as a child process: started, called over a socket, started again when it ends.

While none runs, a call fails at once, as on the real host. Killed three times within a minute, or ended as often while
it imports the app, it is not started again and the host ends too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azure.functions.meta import Datum

from lab.azure.functions_host.worker import channel
from lab.azure.functions_host.worker.app import Declared
from lab.azure.functions_host.worker.process import ROOT
from lab.azure.functions_host.worker.worker import Call, FunctionFailed, WorkerGone

log = logging.getLogger("host")

ENDS, WITHIN_S = 3, 60.0  # measured: the third kill within a minute is the last
LAST_S = 1.0  # until then triggers go on and each call fails, so waiting messages use up deliveries
MODULE = "lab.azure.functions_host.worker.process"


class WorkerProcess:
    """Serves the app in `folder`; `environment` is the process's whole, but for what is the lab's (`LAB_...`). A Host.

    `gave_up` is set when it ended too often.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.gave_up = asyncio.Event()
        self._folder = folder
        self._environment = {name: value for name, value in environment.items() if not name.startswith("LAB_")}
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: dict[str, asyncio.Future[Datum | None]] = {}
        self._ends: list[float] = []
        self._closing = self._replacing = self._indexed = False
        self._attending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs, or ran last."""
        return None if self._process is None else self._process.pid

    async def start(self) -> tuple[list[Declared], str]:
        """Start it; returns the app's functions, or what lost them."""
        ours, its = socket.socketpair()
        with its:
            path = [
                part for part in (str(ROOT), self._environment.get("PYTHONPATH")) if part
            ]  # the child hides the lab
            words = [sys.executable, "-m", MODULE, str(its.fileno()), str(self._folder)]
            environment = {**self._environment, "PYTHONPATH": os.pathsep.join(path)}
            self._process = await asyncio.create_subprocess_exec(
                *words, env=environment, cwd=ROOT, pass_fds=[its.fileno()], stdin=asyncio.subprocess.DEVNULL
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            _, functions, error = await channel.read(reader)
            self._indexed = True
        except (asyncio.IncompleteReadError, ConnectionError):
            functions, error = [], "the Python worker ended while it imported the app"
            self._indexed = False
        self._writer = writer
        self._attending = asyncio.create_task(self._attend(reader))
        return [Declared(name, bindings) for name, bindings in functions], error

    async def call(self, call: Call) -> Datum | None:
        """Raises FunctionFailed, or WorkerGone if none runs or it ends meanwhile."""
        if self._writer is None:
            raise WorkerGone("no Python worker runs")
        answer: asyncio.Future[Datum | None] = asyncio.get_running_loop().create_future()
        self._pending[call.invocation_id] = answer
        try:
            self._writer.write(channel.pack(channel.told_call(call)))
            return await answer
        finally:
            self._pending.pop(call.invocation_id, None)

    def timed_out(self) -> None:
        """Replace the whole worker: whatever else it does is lost."""
        log.error("A function ran longer than functionTimeout: the Python worker is replaced")
        self._replacing = True
        self._kill()

    def close(self) -> None:
        """End it for good."""
        self._closing = True
        self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _attend(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self._take(await channel.read(reader))
        await self._ended()

    def _take(self, message: tuple[Any, ...]) -> None:
        kind, invocation_id, told = message
        answer = self._pending.get(invocation_id)
        if answer is None or answer.done():
            return
        if kind == "result":
            answer.set_result(told)
        else:
            answer.set_exception(FunctionFailed(told))

    async def _ended(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(WorkerGone("the Python worker ended under the call"))
        code = None if self._process is None else await self._process.wait()
        if self._closing:
            return
        killed = code is not None and code < 0 and not self._replacing
        if killed or not self._indexed:
            self._ends.append(time.monotonic())
        self._replacing = False
        if len([at for at in self._ends if at > time.monotonic() - WITHIN_S]) >= ENDS:
            log.error("The Python worker ended (code %s), too often: it is not started again, the host ends", code)
            await asyncio.sleep(LAST_S)
            self.gave_up.set()
            return
        log.error("The Python worker ended (code %s): a new one is started, without the state of its modules", code)
        _, error = await self.start()
        if error:
            log.error("The new Python worker has no functions: %s", error)
