"""A steady load on one session: callers that charge, decide and read in turn, and a record of every call.

Every answer is checked: each call's reply is its own id, or the one value that is read. So a reply that went to the
wrong caller is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

from redis.asyncio import Redis

from lab.proof.faults.session.pace import Pace
from lab.proof.strategies import Session

CHARGED, DECIDED, VALUE_KEY = "{faults}:charged", "{faults}:decided", "{faults}:value"
VALUE = b"0123456789abcdef" * 256  # 4 KiB, so that a cut falls into the middle of a reply
GRACE_S = 0.3  # what a call may take beyond its deadline

# To repeat it unasked would charge twice: it counts its own runs.
_CHARGE = "redis.call('HINCRBY', KEYS[1], ARGV[1], 1) return ARGV[1]"
# Idempotent by id, as every script of the app: safe to repeat.
_DECIDE = "redis.call('HSETNX', KEYS[1], ARGV[1], 1) return ARGV[1]"


@dataclass(slots=True)
class Call:
    """One call: times by the event loop's clock, in seconds. `failure`: the error's name and text."""

    number: int
    kind: str
    began: float
    ended: float | None = None
    failure: str | None = None
    wrong: bool = False

    @property
    def good(self) -> bool:
        """Ended with the answer that was due."""
        return self.ended is not None and self.failure is None and not self.wrong


async def charge(client: Redis, number: int) -> bool:
    """Run once or not at all, as long as nobody repeats it after an unknown outcome."""
    return bool(await client.register_script(_CHARGE)(keys=[CHARGED], args=[number]) == b"%d" % number)


async def decide(client: Redis, number: int) -> bool:
    """Run as often as one likes."""
    return bool(await client.register_script(_DECIDE)(keys=[DECIDED], args=[number]) == b"%d" % number)


async def read(client: Redis, number: int) -> bool:
    """The value that is always there."""
    return bool(await client.get(VALUE_KEY) == VALUE)


Operation: TypeAlias = Callable[[Redis, int], Awaitable[bool]]
KINDS: tuple[tuple[Operation, bool], ...] = ((charge, False), (decide, True), (read, True))  # repeatable?


class Load:
    """`start` it, let it `idle` and go on, `stop` it; `calls` has everything that was asked."""

    def __init__(self, session: Session, pace: Pace) -> None:
        self.calls: list[Call] = []
        self._session, self._pace = session, pace
        self._numbers = count()
        self._go, self._stopped = asyncio.Event(), False
        self._callers: list[asyncio.Task[None]] = []
        self._clock = asyncio.get_running_loop().time

    def start(self) -> None:
        self._go.set()
        self._callers = [asyncio.create_task(self._caller(), name="lab caller") for _ in range(self._pace.callers)]

    async def idle(self) -> None:
        """Return when every caller rests."""
        self._go.clear()
        while any(call.ended is None for call in self.calls):  # noqa: ASYNC110 - an event per call costs more
            await asyncio.sleep(0.01)

    def resume(self) -> None:
        self._go.set()

    async def stop(self) -> list[Call]:
        """No new calls; returns those that have not ended within their deadline and GRACE_S, and ends them."""
        self._stopped = True
        await asyncio.wait(self._callers, timeout=self._pace.deadline_s + GRACE_S)
        hung = [call for call in self.calls if call.ended is None]
        for caller in self._callers:
            caller.cancel()
        await asyncio.wait(self._callers, timeout=5)
        return hung

    def recovered_at(self, since: float) -> float | None:
        """When the first write that began after `since` had its good answer."""
        ends = [call.ended for call in self._since(since) if call.good and call.kind != "read" and call.ended]
        return min(ends, default=None)

    def calm(self, since: float) -> bool:
        """A write has worked since then, and nothing has failed or waited for the last `calm_s`."""
        quiet = self._clock() - self._pace.calm_s
        recovered = self.recovered_at(since)
        if recovered is None or recovered > quiet:
            return False
        return all(call.ended is not None for call in self.calls if call.began < quiet) and all(
            call.good for call in self.calls if call.ended is not None and call.ended > quiet
        )

    def _since(self, since: float) -> list[Call]:
        return [call for call in self.calls if call.began >= since]

    async def _caller(self) -> None:
        while not self._stopped:
            await self._go.wait()
            number = next(self._numbers)
            operation, idempotent = KINDS[number % len(KINDS)]
            await self._call(number, operation, idempotent)
            await asyncio.sleep(self._pace.think_s)

    async def _call(self, number: int, operation: Operation, idempotent: bool) -> None:
        call = Call(number, operation.__name__, self._clock())
        self.calls.append(call)

        async def ask(client: Any) -> bool:
            return await operation(client, number)

        try:
            call.wrong = not await self._session.run(ask, idempotent=idempotent, within_s=self._pace.deadline_s)
        except Exception as error:  # noqa: BLE001 - whatever a session raises is what its caller gets
            call.failure = f"{type(error).__name__}: {error}"
        call.ended = self._clock()
