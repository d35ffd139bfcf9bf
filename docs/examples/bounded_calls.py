"""What a session keeps, whatever the dependency: hard bounds, a total deadline, errors that say what is known."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.redis_session.backoff import Backoff

S = TypeVar("S")
T = TypeVar("T")
_INHERITED: list[object] = []  # of a parent process: not even the collector may touch its sockets


class DependencyUnavailable(Exception):
    """It cannot be used now: a 503, once it is in UNAVAILABLE of services/errors.py."""


class CallNotSent(DependencyUnavailable):
    """It did not run: repeating it is always safe."""


class CallOverloaded(CallNotSent):
    """Too many wait already: not repeated."""


class CallOutcomeUnknown(DependencyUnavailable):
    """It may have run: repeated only if it is idempotent."""


class Call:
    """One attempt: `sent` before anything leaves that could run, `left` when its caller has gone."""

    sent = left = False


class BoundedCalls:
    """On one event loop: at most `connections` calls at work, and `waiting` more behind them."""

    def __init__(self, connections: int, waiting: int) -> None:
        self.loop, self.slots = asyncio.get_running_loop(), asyncio.Semaphore(connections)
        self.backoff, self.not_before = Backoff(), float("-inf")  # of the whole process
        self._callers, self._most = 0, connections + waiting

    async def call(self, attempt: Callable[[Call], Awaitable[T]], *, idempotent: bool, within_s: float) -> T:
        """Within `within_s` seconds in all. Raises CallNotSent, CallOverloaded or CallOutcomeUnknown."""
        if self._callers >= self._most:
            raise CallOverloaded(f"{self._most} callers are here already")
        self._callers += 1
        try:
            return await self._repeat(attempt, idempotent, self.loop.time() + within_s)
        finally:
            self._callers -= 1

    async def _repeat(self, attempt: Callable[[Call], Awaitable[T]], idempotent: bool, ends_at: float) -> T:
        backoff, maybe_ran, last = Backoff(), False, "nothing"
        while True:
            call = Call()
            try:
                async with asyncio.timeout_at(ends_at) as deadline:
                    return await attempt(call)
            except (CallNotSent, CallOutcomeUnknown) as error:
                failure: DependencyUnavailable = error
            except TimeoutError:
                if not deadline.expired():
                    raise
                kind = CallOutcomeUnknown if call.sent else CallNotSent
                failure = kind(f"the deadline is over; before: {last}")
            maybe_ran, last = maybe_ran or isinstance(failure, CallOutcomeUnknown), str(failure)
            wait_s = backoff.next_wait_s()
            if (maybe_ran and not idempotent) or self.loop.time() + wait_s >= ends_at:
                raise CallOutcomeUnknown(f"it may have run: {failure}") if maybe_ran else failure
            await asyncio.sleep(wait_s)


class PerLoop(Generic[S]):
    """One session for each process and event loop; the one before is dropped without being touched."""

    def __init__(self, make: Callable[[], S]) -> None:
        self._make, self._pid = make, os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.session: S | None = None

    def here(self) -> S:
        """The session of the running loop."""
        if self.session is None or self._loop is not asyncio.get_running_loop():
            if self._pid != os.getpid():
                _INHERITED.append((self._loop, self.session))
            self._loop, self._pid, self.session = asyncio.get_running_loop(), os.getpid(), self._make()
        return self.session
