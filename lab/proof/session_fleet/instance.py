"""One process of the fleet: a session of its own, a few callers at once, in rounds; then it stays, as a warm one does.

What it measured leaves as one line of JSON, short enough for the pipe that all share to take it in one piece.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import random
import time
import warnings
from dataclasses import dataclass

from redis.asyncio import Redis

from lab.proof.strategies import STRATEGIES, Session

KEY, VALUE = "fleet", b"v" * 64
STAYS_S = 1.0
SPREAD_S = 0.5  # a fleet never calls in the very same instant
MOST_CALLS = 400  # per process: what they took must fit into one line of PIPE_BUF bytes


@dataclass(frozen=True)
class Task:
    """What every process does. `begins_at`: time.monotonic(), in seconds, when the first round begins."""

    strategy: str
    url: str
    processes: int
    callers: int
    rounds: int
    round_s: float
    within_s: float
    begins_at: float

    @property
    def ends_at(self) -> float:
        """When a process may go that has done all its calls."""
        return self.begins_at + self.rounds * self.round_s + STAYS_S


async def _get(client: Redis) -> object:
    return await client.get(KEY)


async def _ask(session: Session, within_s: float, took_ms: list[int], failures: collections.Counter[str]) -> None:
    began = time.monotonic()
    try:
        if await session.run(_get, idempotent=True, within_s=within_s) != VALUE:
            failures["a wrong answer"] += 1
    except Exception as error:  # noqa: BLE001 - whatever a session raises is what its caller gets
        failures[f"{type(error).__name__}: {error}"[:60]] += 1
    took_ms.append(round((time.monotonic() - began) * 1e3))


async def live(task: Task, index: int) -> str:
    """All rounds; the line to report."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # what it means is in the failures
    session = STRATEGIES[task.strategy](task.url)
    took_ms: list[int] = []
    failures: collections.Counter[str] = collections.Counter()
    phase_s = random.Random(index).uniform(0, SPREAD_S)  # noqa: S311 - the same in every run
    for number in range(task.rounds):
        await asyncio.sleep(task.begins_at + phase_s + number * task.round_s - time.monotonic())
        asks = (_ask(session, task.within_s, took_ms, failures) for _ in range(task.callers))
        await asyncio.gather(*asks)
    report = json.dumps({"took_ms": took_ms, "failures": dict(failures.most_common(5)), "failed": failures.total()})
    os.write(1, report.encode() + b"\n")  # now: those that wait below may be ended by the lab
    await asyncio.sleep(task.ends_at - time.monotonic())
    return report


def become(task: Task, index: int) -> None:
    """Be process number `index`; never returns."""
    warnings.simplefilter("ignore")
    try:
        asyncio.run(live(task, index))
    finally:
        os._exit(0)
