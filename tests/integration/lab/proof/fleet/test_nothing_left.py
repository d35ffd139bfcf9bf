"""Nothing outlives a lab: not one that was killed, nor one that was stopped while something was starting."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lab.azure.service_bus.queue_config import QueueConfig
from lab.proof.fleet.bus_process import BusProcess
from lab.proof.fleet.fleet import Fleet
from lab.proof.fleet.instance import Group, Task
from tests import ROOT
from tests.integration.lab.proof.fleet.app import write_app
from tests.integration.lab.proof.fleet.conftest import WAIT_S, all_gone

LAB = """
import asyncio, sys
from pathlib import Path
from lab.proof.fleet.fleet import Fleet
from lab.proof.fleet.front import Front
from lab.proof.fleet.instance import Group, Task
from lab.proof.fleet.bus_process import BusProcess
from lab.azure.service_bus.queue_config import QueueConfig


async def main(folder: Path) -> None:
    async with BusProcess({"orders": QueueConfig()}) as bus:
        settings = {"REDIS_URL": "redis://127.0.0.1:1/0", "ServiceBusConnection": bus.connection_string}
        async with Fleet(Task(folder, folder / "log", settings)) as fleet, Front(fleet):
            await fleet.grow(Group.HTTP, 2)
            await fleet.grow(Group.FULFILMENT, 2)
            %s
            print("up", flush=True)
            await asyncio.Event().wait()


asyncio.run(main(Path(sys.argv[1])))
"""
FREEZE = "fleet.freeze(fleet.instances[0]); fleet.freeze(fleet.instances[2])"


def kill_lab(folder: Path, then: str) -> list[int]:
    """Start a lab, kill it with SIGKILL once it is up; returns the processes that it had started."""
    command = [sys.executable, "-c", LAB % then, str(write_app(folder))]
    environment = os.environ | {"TMPDIR": str(folder)}  # a lab that is killed leaves its files
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as lab:
        assert lab.stdout is not None
        try:
            assert lab.stdout.readline() == "up\n"
            started = [child.pid for child in psutil.Process(lab.pid).children(recursive=True)]
        finally:
            lab.kill()
    assert len(started) >= 6, "four instances, a Service Bus and who forked them"
    return started


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise")
@pytest.mark.parametrize("then", ["pass", FREEZE], ids=["serving", "frozen"])
async def test_no_instance_survives_a_lab_that_was_killed(tmp_path: Path, then: str) -> None:
    await all_gone(kill_lab(tmp_path, then))


def children() -> set[int]:
    """Whatever this process has started through multiprocessing, and not yet joined."""
    return {process.pid or 0 for process in multiprocessing.active_children()}


async def cancel_once_it_runs(work: asyncio.Task[object], before: set[int]) -> None:
    """Cancel it as soon as it has begun to start a process."""
    async with asyncio.timeout(WAIT_S):
        while children() == before and not work.done():  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def expect_no_more_than(before: set[int]) -> None:
    left = [pid for pid in children() - before if psutil.pid_exists(pid)]
    try:
        await all_gone(left)
    finally:
        children()  # joins what has ended


async def test_an_instance_whose_start_was_cancelled_does_not_survive_the_block(
    make_task: Callable[..., Task],
) -> None:
    before = children()
    async with Fleet(make_task()) as fleet:
        await fleet.grow(Group.HTTP, 1)  # who forks them is there from now on
        known = children()
        await cancel_once_it_runs(asyncio.create_task(fleet.grow(Group.HTTP, 1)), known)
    await expect_no_more_than(before)


async def test_a_service_bus_whose_start_was_cancelled_ends() -> None:
    async with BusProcess({"orders": QueueConfig()}):
        before = children()
        another = BusProcess({"orders": QueueConfig()})
        await cancel_once_it_runs(asyncio.create_task(another.__aenter__()), before)
        await expect_no_more_than(before)
