"""A worker that is killed again and again, under a host that outlives it: it burns the deliveries of what is waiting.

On the real host, while no worker runs every call fails in 0 ms; the third kill within a minute ends it. What it gave up
lies among the dead letters, and is sent back. The fleet's instances have no worker of their own: this host is one more.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from lab.azure.processes import Child
from lab.azure.redis_server import HOST
from lab.azure.settings import CONNECTION, DEFAULT_QUEUE, QUEUE, ROOT
from lab.azure.temporary import owned
from lab.proof.faults.redis import FaultDidNotHappen
from lab.proof.faults.scene import Scene
from lab.proof.fleet.instance import Group
from lab.proof.tasks import until
from lab.tickets.letters import replay

KILLS = 3
WITHIN_S = 120.0
HELD_S = 0.5  # long enough for calls to be under way


async def worker_crash_loop(scene: Scene) -> None:
    """The other deciders and Redis are frozen; this host's worker is killed three times; dead letters are replayed."""
    deciders = scene.stage.fleet.of(Group.FULFILMENT)
    for instance in deciders:
        scene.stage.fleet.freeze(instance)
    await asyncio.sleep(scene.pace.outage_s)  # messages wait
    scene.stage.redis.pause()  # so that every call is under way when its worker is killed
    try:
        async with host(scene) as child:
            await kill_workers(child)
    finally:
        scene.stage.redis.resume()
        for instance in deciders:
            scene.stage.fleet.thaw(instance)
    await scene.stage.emptied(WITHIN_S)  # an operator sends messages back when the rush is over
    scene.replayed = await replay(scene.stage.bus.connection_string, DEFAULT_QUEUE)
    if not scene.replayed:
        raise FaultDidNotHappen("no message was given up")


@asynccontextmanager
async def host(scene: Scene) -> AsyncIterator[Child]:
    """The lab's Functions host with a worker process, on the stage's Redis and queue, ready."""
    with tempfile.TemporaryDirectory(prefix=owned("crash-loop")) as folder:
        announced = Path(folder) / "app.json"
        words = [sys.executable, "-m", "lab.azure.functions_host", str(ROOT), "--port", "0"]
        stage = {
            "REDIS_URL": f"redis://{HOST}:{scene.target.proxy.port}/0",
            CONNECTION: scene.stage.bus.connection_string,
        }
        settings = {**os.environ, **stage, QUEUE: DEFAULT_QUEUE}
        with Child("host", [*words, "--announce", str(announced)], env=settings, cwd=ROOT) as child:
            await wait_for(announced.exists)
            yield child


async def kill_workers(child: Child) -> None:
    """Kill one worker after another, each with calls under way, until the host ends."""
    for _ in range(KILLS):
        await wait_for(lambda: bool(workers(child)))
        await asyncio.sleep(HELD_S)
        for worker in workers(child):
            worker.send_signal(signal.SIGKILL)
        await asyncio.sleep(HELD_S)
    await wait_for(lambda: not child.alive)


def workers(child: Child) -> list[psutil.Process]:
    try:
        return psutil.Process(child.pid).children()
    except psutil.NoSuchProcess:
        return []


async def wait_for(condition: Callable[[], bool]) -> None:
    """Raises FaultDidNotHappen if it does not come true."""
    if not await until(condition, WITHIN_S):
        raise FaultDidNotHappen("the host, or its worker, did not do what was expected of it")
