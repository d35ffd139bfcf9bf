"""What is done to a Redis Cluster in the middle of a spike with a drop on each shard, one function per fault."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import httpx

from lab.azure.enqueue import make_messages, send
from lab.azure.queue_target import QueueTarget
from lab.azure.redis_server import RedisServer
from lab.azure.service_bus_connection import ServiceBusConnection
from lab.azure.settings import DEFAULT_QUEUE
from lab.proof.faults.faults import DEAD_WITHIN_S, HELD_S, Fault, messages_waiting
from lab.proof.faults.redis import FaultDidNotHappen, Node, after_connect, some, soon
from lab.proof.faults.scene import Sale, Scene
from lab.proof.faults.trial import slot_of
from lab.tickets.books import FINAL
from lab.tickets.requeue import queued_orders

HURT = 1  # the primary that is killed or paused, and the sale on it; the lab's timeline watches the first
AGAIN_S = 0.05


async def failover(scene: Scene) -> None:
    """A primary is killed, its replica takes over, and what was killed comes back behind it."""
    primary, replica = _pair(scene)
    primary.kill()
    await asyncio.to_thread(scene.cluster.wait_promoted, replica)
    await asyncio.to_thread(primary.start)


async def lossy_failover(scene: Scene) -> None:
    """The same, and the replica has not heard of the last decisions: what Redis acknowledged is lost.

    Nothing is decided for a moment before it stops listening, so that it knows orders whose decision it does not.
    """
    primary, replica = _pair(scene)
    async with messages_waiting(scene):
        replica.pause()
        async with Node(primary).admin() as admin:
            await admin.client_kill_filter(_type="replica")
    await asyncio.sleep(HELD_S)  # decisions, below the node timeout
    await scene.sales[HURT].books.look()
    primary.kill()
    replica.resume()
    await asyncio.to_thread(scene.cluster.wait_promoted, replica)
    await asyncio.to_thread(primary.start)


async def taken_back(scene: Scene) -> None:
    """What a failover has lost is found and finished, by what any customer and operator has.

    Orders that are gone are placed again by their customers, who have their key. Their message may be swallowed by
    duplicate detection: then they wait as those do that are queued again, and `python -m lab requeue` finds both.
    """
    await scene.stage.emptied(DEAD_WITHIN_S)
    sale = scene.sales[HURT]
    records = await _records(sale)
    gone = [order_id for order_id, status in records.items() if status is None]
    lost = [order_id for order_id in sale.books.decided if records[order_id] not in FINAL]
    for order_id in lost:
        del sale.books.decided[order_id]
    for order_id in gone:
        await sale.load.ask(sale.load.shop.order(sale.load.answers.numbers[order_id]))
    await scene.stage.emptied(DEAD_WITHIN_S)
    scene.replayed = await _requeue(scene, sale)
    scene.remarks.append(f"{len(lost)} decisions lost; {len(gone)} orders placed again, {scene.replayed} requeued")
    if not lost or "queued" not in records.values():
        scene.notes.append("this proves nothing: the failover lost no decision of an order that it kept")


async def _records(sale: Sale) -> dict[str, str | None]:
    """The status of every accepted order, None for one that Redis does not know."""
    ids = list(sale.load.answers.accepted)
    found = await sale.books.redis.hmget(f"{{drop:{sale.load.shop.drop_id}}}:orders", ids)
    return {key: json.loads(record)["status"] if record else None for key, record in zip(ids, found, strict=True)}


async def _requeue(scene: Scene, sale: Sale) -> int:

    def listed() -> list[dict[str, object]]:
        with httpx.Client(base_url=f"{scene.stage.front.url}/api", timeout=15, trust_env=False) as app:
            return queued_orders(app, sale.load.shop.drop_id, 0)

    orders = await asyncio.to_thread(listed)
    target = QueueTarget(ServiceBusConnection(scene.stage.bus.connection_string), DEFAULT_QUEUE, "the lab")
    await send(target, make_messages([json.dumps(order).encode() for order in orders], None))
    return len(orders)


async def slot_move(scene: Scene) -> None:
    """A drop moves to another primary and back, keys and all, while its customers order."""
    here, there = scene.cluster.nodes[:2]
    slot, cluster = slot_of(scene.sales[0].load.shop.drop_id), scene.cluster
    for source, target in ((here, there), (there, here)):
        await asyncio.to_thread(cluster.open_slot, slot, source, target)
        await asyncio.sleep(scene.pace.outage_s / 4)
        await asyncio.to_thread(cluster.move_keys, slot, source, target)
        await asyncio.sleep(scene.pace.outage_s / 4)
        redirected = await some(partial(_redirects, source))
        await asyncio.to_thread(cluster.close_slot, slot, target)
        if not redirected:
            raise FaultDidNotHappen("nobody was redirected")


async def _redirects(server: RedisServer) -> int:
    async with Node(server).admin() as admin:
        errors = await admin.info("errorstats")
    return sum(int(errors.get(f"errorstat_{code}", {"count": 0})["count"]) for code in ("MOVED", "ASK"))


async def shard_pause(scene: Scene) -> None:
    """One shard stops answering, for less than its node timeout; the others' customers notice nothing."""
    scene.cluster.nodes[HURT].pause()
    await asyncio.sleep(scene.pace.hole_s)
    scene.cluster.nodes[HURT].resume()
    others = [sale.load.answers for number, sale in enumerate(scene.sales) if number != HURT]
    if failures := sum(len(answers.failures) for answers in others):
        scene.notes.append(f"{failures} requests to shards that were not paused failed")


async def node_comes_and_goes(scene: Scene) -> None:
    """A fourth primary joins and gets a drop; the drop moves back, and it leaves."""
    cluster, home = scene.cluster, scene.cluster.nodes[0]
    slot = slot_of(scene.sales[0].load.shop.drop_id)
    guest = await asyncio.to_thread(cluster.add_node)
    await asyncio.to_thread(cluster.move_slot, slot, home, guest)
    await asyncio.sleep(scene.pace.outage_s)
    clients = len(await Node(guest).clients())
    await asyncio.to_thread(cluster.move_slot, slot, guest, home)
    await asyncio.sleep(AGAIN_S)
    await asyncio.to_thread(cluster.remove_node, guest)
    if not clients:
        raise FaultDidNotHappen("nobody has used the new node")


def _pair(scene: Scene) -> tuple[RedisServer, RedisServer]:
    return scene.cluster.nodes[HURT], scene.cluster.nodes[scene.stage.plan.primaries + HURT]


REPLICATED = {"replicas": 1, "node_timeout_ms": 2000}
STEADY = {"node_timeout_ms": 60_000}
NOTHING_SEEN: frozenset[int] = frozenset()
FAULTS = {
    fault.name: fault
    for fault in (
        Fault("failover", "primary SIGKILL, replica promoted", failover, soon, cluster=REPLICATED),
        Fault(
            "lossy-failover",
            "the replica lags, and is promoted",
            lossy_failover,
            soon,
            mend=taken_back,
            cluster=REPLICATED,
        ),
        Fault("slot-move", "a drop's slot moves, and back", slot_move, soon, NOTHING_SEEN, cluster=STEADY),
        Fault("shard-pause", "one shard SIGSTOP", shard_pause, after_connect, cluster=STEADY),
        Fault("node-comes-and-goes", "a node joins and leaves", node_comes_and_goes, soon, cluster=STEADY),
    )
}
