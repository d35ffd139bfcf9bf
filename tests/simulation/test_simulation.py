"""The simulated world: it replays, it can fail, and nothing that may never happen happens in some hundred seeds."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import mutants
from tests.simulation.loop import SimLoop, World
from tests.simulation.plan import plan_of
from tests.simulation.simulation import simulate

SOME = 200  # 50,000 are in `make prove`
# dead-side-connection-lent, topology-asked-on-an-unproved-connection, a node that left cut what it had just lent,
# a cluster that was busy when it was asked for its topology was taken for one server, side connections that went on
# showing a revoked token, transactions that were discarded and said to be unknown, a token shown in its last second,
# what a node said in a batch forgotten because another one failed, or beside LOADING
FOUND = (173, 464, 28951, 143471, 1043, 134, 240156, 5013, 481)


@pytest.fixture(autouse=True, scope="module")
def silent() -> Iterator[None]:
    """Nobody reads what so many instances log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def run_apart(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("chunk", range(8))
def test_nothing_happens_that_may_never_happen(chunk: int) -> None:
    for seed in range(chunk, SOME, 8):
        result = simulate(seed)
        assert not result.broken, f"make simulate SEED={seed}: {result.broken[0]}"


@pytest.mark.parametrize("seed", FOUND)
def test_what_a_seed_has_found_stays_mended(seed: int) -> None:
    assert not simulate(seed).broken


def test_a_seed_replays_to_the_same_trace_in_another_process_whatever_its_hash_seed() -> None:
    seeds = ["3", "11"]
    first, second = ([run_apart("--seed", seed, hash_seed=number).stdout for seed in seeds] for number in ("1", "2"))
    assert first == second
    assert all("digest" in text for text in first)


def test_two_seeds_are_two_worlds() -> None:
    assert simulate(3).digest != simulate(4).digest


# All of them: `python -m tests.simulation --mutants`.
@pytest.mark.parametrize("fault", ["hold-not-removed", "answered-before-the-send", "unknown-outcome-repeated"])
def test_a_fault_that_is_put_back_is_found_and_its_schedule_shortened(fault: str, tmp_path: Path) -> None:
    found = run_apart("--mutant", fault, "--seeds", "400", "--report", str(tmp_path))
    assert found.returncode == 1
    assert "BROKEN by seed" in found.stdout
    assert "make simulate SEED=" in found.stdout


def test_every_fault_still_fits_the_code() -> None:
    for name in mutants.MUTANTS:
        mutants.check(name)


def test_a_plan_can_be_shortened_to_any_part_of_it() -> None:
    steps = len(plan_of(7).steps)
    for kept in ({0}, set(range(0, steps, 3))):
        assert not simulate(7, kept).broken


# --- the loop keeps asyncio's promises --------------------------------------------------------------------------------
def loop_of(seed: str) -> tuple[World, SimLoop]:
    world = World(seed)
    return world, SimLoop(world, "process")


def test_callbacks_run_first_in_first_out_and_timers_in_their_order() -> None:
    for seed in range(50):
        world, loop = loop_of(str(seed))
        seen: list[Any] = []
        for number in range(5):
            loop.call_soon(seen.append, number)
        for delay in (3, 1, 2):
            loop.call_later(delay, seen.append, f"after {delay}")
        world.run(10)
        assert seen == [0, 1, 2, 3, 4, "after 1", "after 2", "after 3"]


def test_timers_that_are_due_together_come_in_the_order_of_the_seed() -> None:
    orders = set()
    for seed in range(50):
        world, loop = loop_of(str(seed))
        seen: list[int] = []
        for number in range(3):
            loop.call_at(1.0, seen.append, number)
        world.run(2)
        orders.add(tuple(seen))
    assert len(orders) == 6


def test_a_frozen_process_does_nothing_and_finds_everything_piled_up_when_it_thaws() -> None:
    world, loop = loop_of("1")
    ended: list[float] = []

    async def sleeps() -> None:
        await asyncio.sleep(1)
        ended.append(world.now)

    loop.create_task(sleeps())
    world.run(0.5)
    loop.frozen = True
    world.run(9)
    assert not ended
    world.at(10, loop.thaw)
    world.run(20)
    assert 10 <= ended[0] < 10.01
