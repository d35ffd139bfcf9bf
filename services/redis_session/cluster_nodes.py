"""The nodes of a cluster and who of them serves which slot: one session per primary, and a map that is kept true.

It sends no command of a caller. One task at a time asks for the topology, however many want it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Protocol

from redis.exceptions import RedisError

from .backoff import Backoff
from .errors import NotSent, RedisUnavailable
from .multiplexed_redis import MultiplexedRedis
from .topology import SLOTS, Place, Topology, fetch_topology

log = logging.getLogger(__name__)
SETTLED_S = 5.0  # a topology that has lasted this long starts the backoff of its fetches anew
RETIRE_TICK_S = 0.05


class NodeClocks(Protocol):
    """Seconds: what the cluster's own tasks use of the session's clocks."""

    @property
    def ping_s(self) -> float: ...
    @property
    def connect_s(self) -> float: ...
    @property
    def reply_s(self) -> float: ...
    @property
    def topology_s(self) -> float: ...


class NodeSession(Protocol):
    """The session with one node: connects on first use, proves, recreates."""

    @property
    def open_client(self) -> MultiplexedRedis | None: ...
    async def healthy_client(self, *, patient: bool = True) -> MultiplexedRedis: ...
    def judge(self, error: RedisUnavailable | RedisError, client: MultiplexedRedis | None) -> RedisUnavailable: ...
    async def aclose(self) -> None: ...


class ClusterNode:
    """One node and the session with it."""

    def __init__(self, place: Place, nodes: ClusterNodes) -> None:
        self.place, self._nodes, self.left = place, nodes, False
        self.session = nodes.new_session(self._new_client)

    def __repr__(self) -> str:
        return f"<ClusterNode {self.place.host}:{self.place.port}{' left' if self.left else ''}>"

    def _new_client(self) -> MultiplexedRedis:
        if self.left:  # a caller that has waited since before: nobody would close what it opens
            raise NotSent("the node has left the cluster")
        return self._nodes.new_client(self.place)

    @property
    def in_flight(self) -> int:
        """Calls that wait or are owed a reply."""
        return 0 if self.session.open_client is None else self.session.open_client.backlog_calls

    async def retire(self, within_s: float) -> None:
        """Close it once its replies have come, or after `within_s` seconds."""
        self.left = True
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.in_flight:  # noqa: ASYNC110 - a stream offers no event, and needs none but here
                    await asyncio.sleep(RETIRE_TICK_S)
        await self.session.aclose()


class ClusterNodes:
    """Args:
    seed: the place of the configured address.
    new_client: makes an unconnected client of a node.
    new_session: makes the session with a node from what makes its clients.
    on_topology: called with the number of primaries when a topology has come.
    """

    def __init__(
        self,
        seed: Place,
        tls: bool,
        clocks: NodeClocks,
        new_client: Callable[[Place], MultiplexedRedis],
        new_session: Callable[[Callable[[], MultiplexedRedis]], NodeSession],
        on_topology: Callable[[int], None],
        randomness: random.Random | None = None,
    ) -> None:
        self.new_client, self.new_session = new_client, new_session
        self._seed, self._tls, self._clocks, self._on_topology = seed, tls, clocks, on_topology
        self._nodes: dict[Place, ClusterNode] = {}
        self._owners: list[ClusterNode | None] = [None] * SLOTS
        self._others: tuple[Place, ...] = ()
        self._backoff, self._not_before, self._fetched_at = Backoff(randomness=randomness), 0.0, float("-inf")
        self._loop = asyncio.get_running_loop()
        self._refreshing: asyncio.Task[None] | None = None
        self._next: asyncio.TimerHandle | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self.closed = False
        self.fetches = 0

    # --- who serves what ----------------------------------------------------------------------------------------------

    def owner(self, slot: int) -> ClusterNode:
        """The primary of a slot. Raises NotSent if nobody serves it."""
        node = self._owners[slot]
        if node is None:
            self.refresh_soon()
            raise NotSent(f"no node of the cluster serves slot {slot} now")
        return node

    def at(self, place: Place) -> ClusterNode:
        """The node at a place that a redirect names, known before or not. Raises NotSent once closed."""
        if self.closed:
            raise NotSent("the client was closed")
        if place not in self._nodes:
            self._nodes[place] = ClusterNode(place, self)
        return self._nodes[place]

    def primaries(self) -> list[ClusterNode]:
        """Every primary. Raises NotSent if none is known."""
        if not self._nodes:
            raise NotSent("no node of the cluster is known now")
        return list(self._nodes.values())

    def any_primary(self) -> ClusterNode:
        """One of them, with an open connection if any has one."""
        nodes = self.primaries()
        return next((node for node in nodes if _is_open(node)), nodes[0])

    def open_clients(self) -> list[MultiplexedRedis]:
        """The clients of now, one for each primary that has been used."""
        return [client for node in self._nodes.values() if (client := node.session.open_client) is not None]

    def moved(self, slot: int, place: Place) -> None:
        """A node has said that the slot is served elsewhere: it is from now on, and more may have changed."""
        self._owners[slot] = self.at(place)
        self.refresh_soon()

    # --- the topology -------------------------------------------------------------------------------------------------

    def apply(self, topology: Topology) -> None:
        """Take over what a node has said; those that are gone are closed after their replies."""
        for place in topology.primaries:
            self.at(place)
        for place in self._nodes.keys() - topology.primaries:
            self._spawn(self._nodes.pop(place).retire(self._clocks.reply_s), self._retiring)
        self._owners = [None if place is None else self._nodes[place] for place in topology.owners]
        self._others, self._fetched_at = topology.others, self._loop.time()
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_later(self._clocks.topology_s, self.refresh_soon)
        self._on_topology(len(topology.primaries))

    def refresh_soon(self) -> None:
        """Ask for the topology in the background, unless that is being done."""
        if self.closed or self._refreshing is not None:
            return
        if self._loop.time() - self._fetched_at > SETTLED_S:
            self._backoff.reset()
        self._refreshing = self._spawn(self._refresh(), set())
        self._refreshing.add_done_callback(lambda _: setattr(self, "_refreshing", None))

    async def _refresh(self) -> None:
        await asyncio.sleep(max(self._backoff.next_wait_s(), self._not_before - self._loop.time()))
        topology = await self._ask_in_turn()
        self._not_before = self._loop.time() + self._backoff.next_wait_s()
        if topology is not None and not self.closed:
            self.apply(topology)

    async def _ask_in_turn(self) -> Topology | None:
        """Those that are connected first, then the configured address, then whoever else was known."""
        self.fetches += 1
        nodes = [node for node in self._nodes.values() if _is_open(node)]
        random.shuffle(nodes)  # so that a node of another opinion does not always win
        for node in nodes:
            client = node.session.open_client
            with suppress(RedisError, RedisUnavailable, TimeoutError):
                async with asyncio.timeout(self._clocks.ping_s):
                    if client is not None:
                        return self._seen(await fetch_topology(client.execute_command, node.place, self._tls))
        for place in dict.fromkeys([self._seed, *self._nodes, *self._others]):
            with suppress(RedisError, RedisUnavailable, OSError, TimeoutError):
                return await self._ask_apart(place)
        log.warning("no node of the Redis cluster says what it looks like now")
        return None

    async def _ask_apart(self, place: Place) -> Topology:
        client = self.new_client(place)
        try:
            async with asyncio.timeout(self._clocks.connect_s):
                await client.connect()
                return self._seen(await fetch_topology(client.execute_command, place, self._tls))
        finally:
            await client.aclose()

    @staticmethod
    def _seen(topology: Topology) -> Topology:
        if not topology.primaries:  # a node that was reset, or has just been started, knows itself at most
            raise RedisUnavailable("a node that knows no primary")
        return topology

    # --- the end ------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="redis cluster", context=contextvars.Context())
        among.add(task)
        task.add_done_callback(among.discard)
        return task

    async def aclose(self) -> None:
        """Close every session; on another event loop than its own, only end the connections."""
        self.closed = True
        if asyncio.get_running_loop() is not self._loop:
            await _all(client.aclose() for client in self.open_clients())
            return
        if self._next is not None:
            self._next.cancel()
        tasks = [*self._retiring, *([self._refreshing] if self._refreshing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        nodes, self._nodes, self._owners = list(self._nodes.values()), {}, [None] * SLOTS
        for node in nodes:
            node.left = True
        await _all(node.session.aclose() for node in nodes)


def _is_open(node: ClusterNode) -> bool:
    client = node.session.open_client
    return client is not None and client.connected


async def _all(closings: Iterable[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*closings, return_exceptions=True)
