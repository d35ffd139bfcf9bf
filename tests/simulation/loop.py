"""One virtual clock and, on it, an asyncio event loop per simulated process. No thread, no socket, no wall clock.

A process that is frozen is a loop that does not turn while its sockets and timers pile up; one that is killed is a loop
that never turns again. Within a loop everything is as asyncio promises: ready callbacks first in, first out, then I/O,
then timers in order. The seed chooses what asyncio leaves open: which socket is ready first, timers that are due
together, how much piles up before a turn, and whose process runs first.
"""

# mypy: disable-error-code="override"

from __future__ import annotations

import asyncio
import operator
import random
import zlib
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heappop, heappush
from typing import Any

MAX_STEPS = 3_000_000
LATE_S = 0.002  # a process is up to so much late now and then, as on a busy machine


class World:
    """The clock in seconds, everything that will happen, and the trace of what did."""

    def __init__(self, seed: str, keep_trace: bool = False) -> None:
        self.now, self.steps, self.digest = 0.0, 0, 0
        self.random = random.Random(f"{seed}/schedule")
        self.trace: list[tuple[float, str, str]] | None = [] if keep_trace else None
        self.broken: list[str] = []
        self.ended, self.max_steps = False, MAX_STEPS
        self.chance = self.random.random
        self.due: list[tuple[float, float, Callable[..., Any], tuple[Any, ...]]] = []
        self.runnable: list[SimLoop] = []
        self._running: SimLoop | None = None

    def at(self, when: float, callback: Callable[..., Any], *args: Any) -> None:
        """Call back at that time; what is due together comes in the seed's order."""
        heappush(self.due, (when, self.chance(), callback, args))

    def later(self, delay_s: float, callback: Callable[..., Any], *args: Any) -> None:
        """Call back after so many seconds."""
        heappush(self.due, (self.now + delay_s, self.chance(), callback, args))

    def note(self, who: str, what: str) -> None:
        """One line of the trace."""
        self.digest = zlib.crc32(f"{self.now!r} {who} {what}".encode(), self.digest)
        if self.trace is not None:
            self.trace.append((self.now, who, what))

    def violate(self, what: str) -> None:
        """Something happened that may never happen."""
        if not self.ended:
            self.note("BROKEN", what)
            self.broken.append(f"{self.now:.6f} {what}")

    def run(self, until: float) -> None:
        """Let everything happen up to that time. More steps than a seed can need are a violation."""
        try:
            self._run(until)
        finally:
            self.running(None)

    def running(self, loop: SimLoop | None) -> None:
        """Tell asyncio whose turn it is, which costs it a system call."""
        if loop is not self._running:
            self._running = loop
            _set_running_loop(loop)

    def _run(self, until: float) -> None:
        runnable, due = self.runnable, self.due
        while self.steps < self.max_steps:
            if runnable:
                self.steps += 1
                chosen = int(self.chance() * len(runnable)) if len(runnable) > 1 else 0
                runnable.pop(chosen).turn()
            elif due and due[0][0] <= until:
                when, _, callback, args = heappop(due)
                if when > self.now:
                    self.now = when
                callback(*args)
            else:
                self.now = max(self.now, until)
                return
        self.violate("the world does not come to rest: too many steps")


class _Handle:
    """What can be cancelled until it runs. asyncio's own costs three times as much: it asks for debugging."""

    __slots__ = ("at", "what")

    def __init__(self, at: float, *what: Any) -> None:
        self.at, self.what = at, what

    def when(self) -> float:
        return self.at

    def cancel(self) -> None:
        self.what = ()

    def cancelled(self) -> bool:
        return not self.what

    def run(self) -> None:
        if self.what:
            run, callback, args = self.what
            run(callback, *args)


class SimLoop(asyncio.BaseEventLoop):
    """The event loop of one process. `connect` stands for the operating system's way to a server."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.frozen = self.dead = False
        self.connect: Callable[..., Any]
        self._ready: deque[tuple[Callable[..., Any], Any, tuple[Any, ...]]] = deque()
        self._io: list[tuple[Callable[..., Any], Any, tuple[Any, ...]]] = []
        self._timers: list[_Handle] = []
        self._awake = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._room = 100  # tasks until those that are done are forgotten

    def __del__(self) -> None:
        """There is nothing to close."""

    # --- what asyncio asks of a loop ----------------------------------------------------------------------------------
    def time(self) -> float:
        return self.world.now

    get_debug = staticmethod(bool)  # False, without a frame

    def is_running(self) -> bool:
        return _get_running_loop() is self

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        """Only tasks and futures say a context, and they never cancel: they get no handle, which would cost."""
        if not self._awake:
            self._wake()
        if context is not None:
            self._ready.append((context.run, callback, args))
            return None
        handle = _Handle(self.world.now, copy_context().run, callback, args)
        self._ready.append((_Handle.run, handle, ()))
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = _Handle(when, (copy_context() if context is None else context).run, callback, args)
        heappush(self.world.due, (when, self.world.chance(), self._timer_due, (handle,)))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self.world.now + max(delay, 0), callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **options)
        self._tasks.append(task)
        if len(self._tasks) > self._room:
            self._room = 100 + 2 * len(self.under_way())
        return task

    def under_way(self) -> list[asyncio.Task[Any]]:
        """Its tasks that have not ended."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return self._tasks

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nobody handled it: a violation, whatever it is."""
        if not self.dead:
            self.world.violate(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        return await self.connect(self, factory, port)

    # --- what the world does with it ----------------------------------------------------------------------------------
    def io_ready(self, callback: Callable[..., Any], *args: Any) -> None:
        """A socket has something: handled after what was ready before, as by a selector."""
        self._io.append((copy_context().run, callback, args))
        if not self._awake:
            self._wake()

    def _timer_due(self, handle: _Handle) -> None:
        if handle.what:  # not cancelled
            self._timers.append(handle)
            if not self._awake:
                self._wake()

    def _wake(self) -> None:
        """It has something to do: now, or a little late together with whatever else comes meanwhile."""
        if self.frozen or self.dead:
            return
        self._awake, world = True, self.world
        if world.chance() < 0.1:
            world.later(world.chance() * LATE_S, world.runnable.append, self)
        else:
            world.runnable.append(self)

    def turn(self) -> None:
        """One turn, as `BaseEventLoop._run_once` takes it."""
        self._awake = False
        if self.frozen or self.dead:
            return
        ready = self._ready
        if self._io:
            if len(self._io) > 1:
                self.world.random.shuffle(self._io)
            ready.extend(self._io)
            self._io.clear()
        if self._timers:
            if len(self._timers) > 1:
                self._timers.sort(key=operator.methodcaller("when"))
            ready.extend([(_Handle.run, handle, ()) for handle in self._timers])
            self._timers.clear()
        self.world.running(self)
        for _ in range(len(ready)):
            run, callback, args = ready.popleft()
            try:
                run(callback, *args)
            except Exception as error:  # noqa: BLE001 - as asyncio does
                self.call_exception_handler({"message": f"in {callback}", "exception": error})
        if ready and not self._awake:
            self._wake()

    def thaw(self) -> None:
        """Go on."""
        self.frozen = False
        if (self._ready or self._io or self._timers) and not self._awake:
            self._wake()

    def bury(self, last: Coroutine[Any, Any, Any] | None = None) -> None:
        """After the end of the world: run `last`, or else end all tasks, so that nobody complains."""
        self.dead = self.frozen = self._awake = False
        if last is not None:
            self.create_task(last)
        for _ in range(100):
            for task in self.under_way() if last is None else ():
                task.cancel()
            self._wake()
            self.turn()
            if not self.under_way():
                break
        self.world.running(None)
