"""Negative controls: sessions that are broken, by design of others or on purpose, make each counter of a trial rise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from multiprocessing import forkserver
from typing import Any, TypeVar, cast

import pytest
from redis.asyncio import Redis

from lab.proof.faults.session.command import run_all
from lab.proof.faults.session.faults import FAULTS
from lab.proof.faults.session.outcome import Outcome, broken_promises
from lab.proof.faults.session.pace import QUICK
from lab.proof.faults.session.trial import endure
from lab.proof.strategies import SIDES
from services.redis_session.redis_service import RedisService

T = TypeVar("T")
FAULT = FAULTS["script-flush"]  # the mildest: what breaks under it was broken before
PACE = replace(QUICK, observe_s=0.5)


class Forgetful(RedisService):
    """Says yes and does nothing."""

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        await asyncio.sleep(0)
        return cast("T", True)


class Eager(RedisService):
    """Does everything twice."""

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        await super().run(operation, idempotent=idempotent, within_s=within_s, patient=patient)
        return await super().run(operation, idempotent=idempotent, within_s=within_s, patient=patient)


class Deaf(RedisService):
    """Knows no deadline and hears no answer."""

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        await asyncio.Event().wait()
        raise AssertionError


class Hoarder(RedisService):
    """Never closes the connection that it replaces, and replaces it often."""

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        if self.counters.commands % 50 == 0:
            self._client = None
        return await super().run(operation, idempotent=idempotent, within_s=within_s, patient=patient)


class Confused(RedisService):
    """Hands out the answers of others."""

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        await super().run(operation, idempotent=idempotent, within_s=within_s, patient=patient)
        return cast("T", False)


@pytest.mark.parametrize(
    ("session", "counter"),
    [(Forgetful, "lost"), (Eager, "done_twice"), (Deaf, "hung"), (Hoarder, "leaked"), (Confused, "wrong")],
)
async def test_a_session_broken_on_purpose_makes_its_counter_rise(
    session: type[RedisService], counter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[RedisService] = []
    clients: set[Any] = set()

    def make(url: str) -> RedisService:
        made = session(url)
        made.hooks.on_connect = lambda: clients.add(made._client)
        opened.append(made)
        return made

    monkeypatch.setitem(SIDES, "broken", make)
    outcome = await endure(FAULT, "broken", PACE)
    for client in clients:
        await client.aclose()
    assert getattr(outcome, counter) > 0, outcome


@pytest.fixture(scope="module")
def others() -> dict[tuple[str, str], Outcome]:
    """By fault and side."""
    outcomes = run_all(["cut-reply", "client-kill"], ["redis-py", "strategy3"], QUICK, jobs=4)
    return {(outcome.fault, outcome.side): outcome for outcome in outcomes}


def test_plain_redis_py_repeats_what_had_run(others: dict[tuple[str, str], Outcome]) -> None:
    """It sends again whatever was in flight when the connection died."""
    assert others["cut-reply", "redis-py"].done_twice > 0, others


def test_strategy_3_keeps_a_connection_per_call_in_flight(others: dict[tuple[str, str], Outcome]) -> None:
    assert others["client-kill", "strategy3"].leaked >= QUICK.callers / 2, others


@pytest.mark.usefixtures("others")
def test_the_trials_are_forked_from_the_labs_one_warm_process() -> None:
    """A second list of what to import first would be the one that every fleet started afterwards got."""
    assert getattr(forkserver, "_forkserver")._preload_modules == ["lab.proof.fleet.warm"]  # noqa: B009 - as in forks.py


@pytest.mark.parametrize(
    "broken",
    [
        {"hung": 1},
        {"wrong": 1},
        {"leaked": 1},
        {"done_twice": 1},
        {"lost": 1},
        {"failed": 1},
        {"opened": 2},
        {"complaints": 1},
        {"longest_s": 2.0},
        {"recovery_s": None},
        {"recovery_s": 3.1},
        {"notes": ["the large SET failed"]},
    ],
    ids=str,
)
def test_each_counter_alone_breaks_a_promise(broken: dict[str, Any]) -> None:
    sound = Outcome(FAULT.name, "ours", recovery_s=0.0)
    assert broken_promises(sound, FAULT, QUICK) == []
    assert len(broken_promises(replace(sound, **broken), FAULT, QUICK)) == 1
