"""What is done to the app in the middle of a spike, one function per fault: it returns when the fault is over.

Raises FaultDidNotHappen if it had no effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.azure.settings import DEFAULT_QUEUE
from lab.proof.faults import redis
from lab.proof.faults.crash_loop import worker_crash_loop
from lab.proof.faults.drain import drain_aborts
from lab.proof.faults.pace import Pace
from lab.proof.faults.redis import FaultDidNotHappen, after_connect, some, soon
from lab.proof.faults.scene import Scene
from lab.proof.fleet.fleet import Instance
from lab.proof.fleet.instance import Group
from lab.tickets.letters import replay

VANISHING = 0.3  # of the instances
HELD_S = 0.5
MANY = 1_000_000  # more than any trial sends
DEAD_WITHIN_S = 60.0


@dataclass(frozen=True)
class Fault:
    """`bound_s`: how long after the fault a request may still fail. `statuses`: that clients may see.

    `mend`: what customers and the operator do once no more orders come. `cluster`: what is special about its plan.
    """

    name: str
    title: str
    inflict: Callable[[Scene], Awaitable[None]]
    bound_s: Callable[[Pace], float]
    statuses: frozenset[int] = frozenset({503})
    mend: Callable[[Scene], Awaitable[None]] | None = None
    cluster: Mapping[str, Any] = field(default_factory=dict)


async def empty(scene: Scene) -> None:
    """Redis comes back empty; later the operator puts the drop again with what is left, and replays the dead letters.

    What was completed before is sold. What was decided without anybody having heard of it is decided in the new life.
    """
    async with messages_waiting(scene):
        scene.target.proxy.black_hole()  # else something is decided between the last look into the books and the crash
    sold = await _known_as_sold(scene)
    scene.stage.redis.kill()
    await asyncio.to_thread(scene.stage.redis.restart, keep_data=False)
    scene.target.proxy.heal()
    await asyncio.sleep(scene.pace.outage_s)
    if await scene.target.ask("DBSIZE"):
        raise FaultDidNotHappen("Redis is not empty")
    await scene.stage.emptied(DEAD_WITHIN_S)  # delivered as often as may be, nothing decided: all are dead
    scene.stock -= sold
    status, _, _ = await scene.load.ask(scene.load.shop.put(scene.stock))
    if status != 201:
        raise FaultDidNotHappen(f"PUT of the drop with what is left was answered {status}")
    scene.replayed = await replay(scene.stage.bus.connection_string, DEFAULT_QUEUE)
    if not scene.replayed:
        raise FaultDidNotHappen("no message was given up")


async def _known_as_sold(scene: Scene) -> int:
    """The tickets whose message was completed; the books forget what else was decided, as Redis does.

    Who had heard of a decision before the black hole completes its message now: that is waited for.
    """
    completed: frozenset[str] | None = None
    while completed != scene.completed or completed is None:
        completed = scene.completed
        await asyncio.sleep(HELD_S)
        scene.completed = frozenset(await scene.stage.bus.ask("completed"))
    await scene.books.look()
    for order_id in set(scene.books.decided) - scene.completed:
        del scene.books.decided[order_id]
    return list(scene.books.decided.values()).count("confirmed")


@asynccontextmanager
async def messages_waiting(scene: Scene) -> AsyncIterator[None]:
    """Nobody takes messages for a moment, so that some wait when it happens."""
    deciders = scene.stage.fleet.of(Group.FULFILMENT)
    for instance in deciders:
        scene.stage.fleet.freeze(instance)
    await asyncio.sleep(HELD_S)
    try:
        yield
    finally:
        for instance in deciders:
            scene.stage.fleet.thaw(instance)


async def link_detach(scene: Scene) -> None:
    """Service Bus forces every link off, as it does to idle ones, again and again."""
    detached = 0
    for _ in range(3):
        detached += int(await scene.stage.bus.ask("faults.detach_links"))
        await asyncio.sleep(scene.pace.outage_s / 3)
    if not detached:
        raise FaultDidNotHappen("there was no link to detach")


async def server_busy(scene: Scene) -> None:
    """Service Bus refuses sends: it has too much to do."""
    ends = asyncio.get_running_loop().time() + scene.pace.outage_s
    while asyncio.get_running_loop().time() < ends:
        await scene.stage.bus.ask("faults.refuse_sends", 5)
        await asyncio.sleep(0.2)


async def duplicates(scene: Scene) -> None:
    """Every message is stored twice, past duplicate detection, and they come in any order."""
    await copies(scene)
    await scene.stage.bus.ask("faults.shuffle", 1)
    await asyncio.sleep(scene.pace.outage_s)
    stored_twice = await some(lambda: copies(scene))
    await scene.stage.bus.ask("faults.store_twice", 0)
    await scene.stage.bus.ask("faults.shuffle", None)
    if not stored_twice:
        raise FaultDidNotHappen("no message was stored twice")


async def copies(scene: Scene) -> int:
    """How many sends were stored twice since it was asked last; those that come will be."""
    left: int = await scene.stage.bus.ask("faults.store_twice", MANY)
    return MANY - left


async def instance_kill(scene: Scene) -> None:
    """Half of the fulfilment instances are killed in the middle of a message, and replaced."""
    async with messages_waiting(scene):
        scene.stage.redis.pause()  # so that every message under way stays under way
    await asyncio.sleep(HELD_S)
    held = await some(lambda: locked(scene))
    half = _part(scene, Group.FULFILMENT, 0.5)
    for instance in half:
        scene.stage.fleet.kill(instance)
    scene.stage.redis.resume()
    if not held:
        raise FaultDidNotHappen("no message was under way")
    await scene.stage.fleet.wait_gone(half)
    await scene.stage.fleet.grow(Group.FULFILMENT, len(half))


async def locked(scene: Scene) -> int:
    """How many messages are under way."""
    return (await scene.stage.queue_stats())["locked"]


async def scale_in(scene: Scene) -> None:
    """Half of both groups is drained at once, and started again a little later."""
    leaving = {group: _part(scene, group, 0.5) for group in Group}
    await asyncio.gather(*(scene.stage.fleet.drain(instances) for instances in leaving.values()))
    await asyncio.sleep(scene.pace.outage_s)
    for group, instances in leaving.items():
        await scene.stage.fleet.grow(group, len(instances))


async def vanish(scene: Scene) -> None:
    """Some instances of both groups freeze with their sockets open, are replaced, and are gone for good later."""
    frozen = [instance for group in Group for instance in _part(scene, group, VANISHING)]
    connects = await scene.target.stat("total_connections_received")
    for instance in frozen:
        scene.stage.fleet.freeze(instance)
    for group in Group:
        await scene.stage.fleet.grow(group, sum(instance.group is group for instance in frozen))
    await asyncio.sleep(scene.pace.hole_s)
    for instance in frozen:
        scene.stage.fleet.kill(instance)
    await scene.stage.fleet.wait_gone(frozen)
    opened = await scene.target.stat("total_connections_received") - connects
    most = len(frozen) * (2 + 2 * scene.pace.hole_s)  # the session tries about once a second where it is not let in
    if opened > most:
        scene.notes.append(f"a connect storm: {opened} connections for {len(frozen)} replaced instances")


def _part(scene: Scene, group: Group, share: float) -> list[Instance]:
    serving = scene.stage.fleet.of(group)
    return serving[: max(1, round(len(serving) * share))]


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill", "Redis SIGKILL, restart", lambda s: redis.kill(s.target, s.pace.outage_s), soon),
        Fault("empty", "Redis restarted empty", empty, soon, frozenset({503, 404})),
        Fault("pause", "Redis SIGSTOP", lambda s: redis.pause(s.target, s.pace.hole_s), after_connect),
        Fault(
            "black-hole", "black hole before Redis", lambda s: redis.black_hole(s.target, s.pace.hole_s), after_connect
        ),
        Fault("read-only", "READONLY (REPLICAOF)", lambda s: redis.read_only(s.target, s.pace.outage_s), soon),
        Fault("full-server", "full server (maxclients)", lambda s: redis.full_server(s.target, s.pace.outage_s), soon),
        Fault(
            "client-kill",
            "CLIENT KILL, five times",
            lambda s: redis.client_kill(s.target, 5, s.pace.outage_s / 5),
            soon,
        ),
        Fault("script-flush", "SCRIPT FLUSH", lambda s: redis.script_flush(s.target, 3, s.pace.outage_s / 3), soon),
        Fault("link-detach", "Service Bus detaches all links", link_detach, soon),
        Fault("server-busy", "Service Bus is busy", server_busy, soon),
        Fault("duplicates", "duplicates, out of order", duplicates, soon),
        Fault("instance-kill", "fulfilment SIGKILL in mid-message", instance_kill, soon),
        Fault("worker-crash-loop", "worker SIGKILL, three times", worker_crash_loop, after_connect),
        Fault("scale-in", "scale-in wave", scale_in, soon),
        Fault("drain", "drain aborts, completions are lost", drain_aborts, soon),
        Fault("vanish", "30 % of the instances vanish", vanish, soon),
    )
}
