"""One instance of a scenario: a process with one session, its callers, and a record of every call."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from redis.asyncio import Redis

from lab.proof.faults.session.load import KINDS, Operation, charge
from lab.proof.fleet.forks import leashed
from lab.proof.scenarios.scenario import DEADLINE_S, Load
from lab.proof.strategies import SIDES, Session, preload
from services.redis_session import OutcomeUnknown

EACH = 10_000_000  # numbers of an instance
SLOW_SCRIPT = "local started = os.clock() while os.clock() - started < 0.05 do end return ARGV[1]"
SPREAD_S = 0.02  # instances never begin in the very same instant


@dataclass(frozen=True)
class Task:
    """`stays_s`: how long an instance keeps its session after its own last call, while others wait for a place."""

    side: str
    url: str
    load: Load
    stays_s: float = 0.0


@dataclass
class Report:
    """`calls`: (began, ended, kind) by time.monotonic(); kind is `ok`, `failed`, `undecided` or `wrong`.

    `cpu_s`: CPU seconds of the process, all threads, while the load ran.
    """

    calls: list[tuple[float, float, str]]
    cpu_s: float
    errors: list[str]


async def slow(client: Redis, number: int) -> bool:
    return bool(await client.register_script(SLOW_SCRIPT)(keys=[], args=[number]) == b"%d" % number)


class Callers:
    """All callers of an instance; `calls` and `errors` have what became of their calls."""

    def __init__(self, session: Session, load: Load, first: int) -> None:
        self.calls: list[tuple[float, float, str]] = []
        self.errors: dict[str, None] = {}
        self._session, self._load = session, load
        self._numbers = itertools.count(first)

    async def run(self, begins_at: float) -> None:
        """Until the time is up and every call has ended."""
        await asyncio.sleep(begins_at - time.monotonic())
        ends_at = begins_at + self._load.seconds
        messages = [self._steady(ends_at, 0.0) for _ in range(self._load.messages)]
        if self._load.burst:
            callers = [self._bursts(ends_at)]
        else:
            callers = [self._steady(ends_at, self._load.think_s) for _ in range(self._load.callers)]
        await asyncio.gather(*callers, *messages, *([self._slow(ends_at)] if self._load.slow_every_s else []))

    async def _steady(self, ends_at: float, think_s: float) -> None:
        while time.monotonic() < ends_at:
            await self._call()
            await asyncio.sleep(think_s)

    async def _bursts(self, ends_at: float) -> None:
        bursts = []
        while time.monotonic() < ends_at:
            bursts += [asyncio.create_task(self._call()) for _ in range(self._load.burst)]
            await asyncio.sleep(self._load.think_s)
        await asyncio.gather(*bursts)

    async def _call(self) -> None:
        number = next(self._numbers)
        await self._record(*KINDS[0 if self._load.changes else number % len(KINDS)], number)

    async def _slow(self, ends_at: float) -> None:
        while time.monotonic() < ends_at:
            await asyncio.gather(self._record(slow, True, next(self._numbers)), asyncio.sleep(self._load.slow_every_s))

    async def _record(self, operation: Operation, idempotent: bool, number: int) -> None:
        began = time.monotonic()
        kind = await self._outcome(operation, number, idempotent)
        self.calls.append((began, time.monotonic(), kind))

    async def _outcome(self, operation: Operation, number: int, idempotent: bool) -> str:
        async def ask(client: Any) -> bool:
            return await operation(client, number)

        try:
            async with asyncio.timeout(self._load.patience_s):
                right = await self._session.run(ask, idempotent=idempotent, within_s=DEADLINE_S)
        except Exception as error:  # noqa: BLE001 - whatever a session raises is what its caller gets
            self.errors[f"{type(error).__name__}: {error}"[:120]] = None
            unknown = operation is charge and isinstance(error, OutcomeUnknown | TimeoutError)
            return "undecided" if unknown else "failed"
        return "ok" if right else "wrong"


async def _live(task: Task, index: int, begins_at: float) -> Report:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # what it means is in the calls
    session = SIDES[task.side](task.url)
    callers = Callers(session, task.load, index * EACH)
    cpu = time.process_time()
    await callers.run(begins_at + index * SPREAD_S)
    await asyncio.sleep(task.stays_s)
    report = Report(callers.calls, time.process_time() - cpu, list(callers.errors)[:5])
    try:
        async with asyncio.timeout(2):
            await session.aclose()
    except Exception:
        logging.getLogger(__name__).debug("not closed", exc_info=True)
    return report


def become(task: Task, index: int, channel: Connection) -> None:
    """Be instance number `index`: say that it is ready, hear when to begin (time.monotonic()), run, report, end."""
    leashed()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    preload(task.side)
    channel.send("ready")
    channel.send(asyncio.run(_live(task, index, channel.recv())))
