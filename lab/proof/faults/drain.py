"""A scale-in that aborts, as it is reported for the platform in 2026 (Azure/azure-functions-host, issue 12007).

What a function has finished during the drain is not completed, so its message comes again; invocations that start then
are aborted after 1 to 3 s. Seen on a host built from source: POST /admin/host/drain with two messages in work.
"""

from __future__ import annotations

import asyncio

from lab.proof.faults.redis import FaultDidNotHappen, some
from lab.proof.faults.scene import Scene
from lab.proof.fleet.instance import Group

ABORTED_AFTER_S = (1.0, 3.0)


async def drain_aborts(scene: Scene) -> None:
    """Half of the fulfilment instances drain and are aborted one by one, then replaced."""
    fleet, bus = scene.stage.fleet, scene.stage.bus
    deciders = fleet.of(Group.FULFILMENT)
    leaving = deciders[: max(1, len(deciders) // 2)]
    most = len(deciders) * 2  # messages
    await losses(scene, most)
    first_s, last_s = ABORTED_AFTER_S
    await asyncio.sleep(first_s)
    lost = await some(lambda: losses(scene, most))
    for instance in leaving:
        fleet.kill(instance)
        await asyncio.sleep((last_s - first_s) / len(leaving))
    await bus.ask("faults.lose_completions", 0)
    await fleet.wait_gone(leaving)
    await fleet.grow(Group.FULFILMENT, len(leaving))
    if not lost:
        raise FaultDidNotHappen("no function finished during the drain")


async def losses(scene: Scene, more: int) -> int:
    """How many completions were lost; so many `more` will be."""
    left: int = await scene.stage.bus.ask("faults.lose_completions", more)
    return more - left
