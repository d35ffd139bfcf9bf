"""The nodes of a cluster and which of them serves which slot: one session per primary, and an up-to-date map.

It sends no command of a caller. One task at a time asks for the topology, however many want it.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from redis.exceptions import RedisError, ResponseError

from .backoff import Backoff
from .call_deadline import current_deadline
from .clocks import Clocks
from .errors import NotSent, RedisUnavailable
from .multiplexed_redis import MultiplexedRedis
from .server_reply import ServerState, server_state
from .topology import SLOTS, Place, Topology, fetch_topology

SETTLED_S = 5.0  # a topology that has lasted this long resets the backoff of its fetches
RETIRE_TICK_S = 0.05
MOST_IDLE = 16  # nodes that serve no slot; the oldest goes


class NodeSession(Protocol):
    """The session with one node: connects on first use, proves, recreates."""

    @property
    def open_client(self) -> MultiplexedRedis | None: ...
    async def healthy_client(self, *, patient: bool = True) -> MultiplexedRedis: ...
    def judge(self, error: RedisError, client: MultiplexedRedis | None) -> RedisUnavailable: ...
    async def aclose(self) -> None: ...


class ClusterNode:
    """One node and the session with it."""

    def __init__(self, place: Place, nodes: ClusterNodes) -> None:
        self.place, self._nodes, self.left = place, nodes, False
        self.session = nodes.new_session(self._new_client)

    def _new_client(self) -> MultiplexedRedis:
        if self.left:  # a caller that has waited since before: nobody would close what it opens
            raise NotSent("the node has left the cluster")
        return self._nodes.new_client(self.place)

    def client(self) -> Awaitable[MultiplexedRedis]:
        """Its client, proved. Raises as RedisService.healthy_client; in a known outage the patient wait."""
        scope = current_deadline()
        return self.session.healthy_client(patient=scope is None or scope.patient)

    def judged(self, error: ResponseError) -> RedisUnavailable:
        """What its reply says of it. Raises the error itself if that is about the command."""
        return self.session.judge(error, self.session.open_client)

    def heard(self, error: ResponseError) -> None:
        """Its reply in a batch: where it means a new connection, this node alone gets one."""
        found = server_state(error)
        if found is not None and found[1] is ServerState.RECREATE:
            self.judged(error)
            error.aside = True  # type: ignore[attr-defined] # for RedisService.judge

    def suspect(self) -> None:
        """The node was of no use: another may have taken over."""
        self._nodes.refresh_soon()

    @property
    def open_client(self) -> MultiplexedRedis | None:
        """Its client, if that is connected."""
        client = self.session.open_client
        return client if client is not None and client.connected else None

    async def retire(self, within_s: float) -> None:
        """Close it once its replies have come, or after `within_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while (client := self.open_client) and client.busy:  # noqa: ASYNC110 - a stream has no event
                    await asyncio.sleep(RETIRE_TICK_S)
                if client is not None:  # at once: what is written before the session closes would be cut off
                    await client.aclose()
        await self.session.aclose()


class ClusterNodes:
    """The nodes in use and the map of slots; built on the event loop that it belongs to.

    Args:
        seed: the place of the configured address.
        new_client: makes an unconnected client of a node.
        new_session: makes the session with a node from what makes its clients.
        on_topology: called with the number of primaries when a topology has been fetched.
        tell: called with a line for the log, by a background task.
        randomness: for the jitter of the fetches, and the order in which nodes are asked.
    """

    def __init__(
        self,
        seed: Place,
        clocks: Clocks,
        new_client: Callable[[Place], MultiplexedRedis],
        new_session: Callable[[Callable[[], MultiplexedRedis]], NodeSession],
        on_topology: Callable[[int], None],
        tell: Callable[[str], None],
        randomness: random.Random | None = None,
    ) -> None:
        self.new_client, self.new_session = new_client, new_session
        self._seed, self._clocks, self._on_topology = seed, clocks, on_topology
        self._tell = tell
        self._nodes: dict[Place, ClusterNode] = {}
        self._leaving: dict[Place, tuple[ClusterNode, asyncio.Task[None]]] = {}
        self._owners: list[ClusterNode | None] = [None] * SLOTS
        self._replicas: tuple[Place, ...] = ()
        self.randomness = randomness or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._backoff, self._not_before, self._fetched_at = Backoff(randomness=self.randomness), 0.0, float("-inf")
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = self._refreshing = False
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
            serving = set(self._owners)
            idle = [at for at, node in self._nodes.items() if node not in serving]
            if len(idle) >= MOST_IDLE:  # while the topology can't be had, redirects may name ever more places
                self._let_go(idle[0])
        return self._in_use(place)

    def _in_use(self, place: Place) -> ClusterNode:
        if place not in self._nodes:
            node, leaving = self._leaving.pop(place, (None, None))
            if node is not None and leaving is not None and leaving.cancel():  # its connection may still be open
                node.left = False
            else:
                node = ClusterNode(place, self)
            self._nodes[place] = node
        return self._nodes[place]

    def _let_go(self, place: Place) -> None:
        node = self._nodes.pop(place)
        node.left = True
        self._leaving = {at: one for at, one in self._leaving.items() if not one[1].done()}
        self._leaving[place] = node, self._spawn(node.retire(self._clocks.reply_s))

    def primaries(self) -> list[ClusterNode]:
        """Every primary. Raises NotSent if none is known."""
        if not self._nodes:
            self.refresh_soon()
            raise NotSent("no node of the cluster is known now")
        return list(self._nodes.values())

    def any_primary(self) -> ClusterNode:
        """One of them, with an open connection if any has one."""
        nodes = self.primaries()
        return next((node for node in nodes if node.open_client), nodes[0])

    def open_clients(self) -> list[MultiplexedRedis]:
        """The current clients, one for each primary that has been used."""
        return [client for node in self._nodes.values() if (client := node.session.open_client) is not None]

    def moved(self, slot: int, place: Place) -> None:
        """A node has said that the slot is served elsewhere: ask there from now on; more may have changed."""
        self._owners[slot] = self.at(place)
        self.refresh_soon()

    # --- the topology -------------------------------------------------------------------------------------------------

    def apply(self, topology: Topology) -> None:
        """Take over what a node has said; those that are gone are closed after their replies."""
        for place in topology.primaries:
            self._in_use(place)
        for place in [place for place in self._nodes if place not in topology.primaries]:
            self._let_go(place)
        self._owners = [None] * SLOTS
        for first, last, place in topology.ranges:
            self._owners[first : last + 1] = [self._nodes[place]] * (last + 1 - first)
        self._replicas, self._fetched_at = topology.replicas, self._loop.time()
        self._look_again()
        self._on_topology(len(topology.primaries))

    def _look_again(self) -> None:
        """After `topology_s`, whatever happens until then."""
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_later(self._clocks.topology_s, self.refresh_soon)

    def refresh_soon(self) -> None:
        """Ask for the topology in the background, unless somebody is asking already."""
        if self.closed or self._refreshing:
            return
        if self._loop.time() - self._fetched_at > SETTLED_S:
            self._backoff.reset()
        self._refreshing = True
        self._spawn(self._refresh())

    async def _refresh(self) -> None:
        try:
            await asyncio.sleep(max(self._backoff.next_wait_s(), self._not_before - self._loop.time()))
            topology = await self._ask_in_turn()
            self._not_before = self._loop.time() + self._backoff.next_wait_s()
        finally:
            self._refreshing = False
        if self.closed:
            return
        if topology is None:
            self._fetched_at = float("inf")  # no backoff is reset until one has come
            self._look_again()
        else:
            self.apply(topology)

    async def _ask_in_turn(self) -> Topology | None:
        """First the connected nodes, then the configured address, then every other node that was known."""
        self.fetches += 1
        connected = [(place, node) for place, node in self._nodes.items() if node.open_client]
        self.randomness.shuffle(connected)  # so that a node of another opinion does not always win
        others = dict.fromkeys([self._seed, *self._nodes, *self._replicas])
        for place, node in [*connected, *((place, None) for place in others)]:
            with suppress(Exception):  # whatever it is, nonsense for an answer too: the next one is asked
                topology = await self._ask(place, node)
                if topology.primaries:  # a node that was reset, or has just been started, knows none
                    return topology
        self._tell("no node of the Redis cluster says what it looks like now")
        return None

    async def _ask(self, place: Place, node: ClusterNode | None) -> Topology:
        """By the node's client, proved first: a question that a dead connection owes would hide an unanswered PING.

        Without a node by a client made for this question alone.
        """
        async with asyncio.timeout(self._clocks.ping_s if node else self._clocks.connect_s):
            if node is not None:
                client = await node.session.healthy_client(patient=False)
                return await fetch_topology(client.execute_command, place)
            async with self.new_client(place) as own:
                return await fetch_topology(own.execute_command, place)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="redis cluster", context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Close every session; on another event loop than its own, only end the connections."""
        self.closed = True
        if asyncio.get_running_loop() is not self._loop:
            for client in self.open_clients():
                client.shut_down()
            return
        if self._next is not None:
            self._next.cancel()
        for task in self._tasks:
            task.cancel()
        nodes, self._nodes, self._owners = list(self._nodes.values()), {}, [None] * SLOTS
        for node in nodes:
            node.left = True
        await asyncio.gather(*self._tasks, *(node.session.aclose() for node in nodes), return_exceptions=True)
