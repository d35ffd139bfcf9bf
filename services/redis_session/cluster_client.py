"""`ClusterRedis`: the command API of redis-py over a cluster, by one multiplexed connection per primary."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any

from redis.exceptions import RedisClusterException, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .clocks import Clocks
from .cluster_nodes import ClusterNode, ClusterNodes, NodeSession
from .cluster_pipeline import ClusterPipeline
from .cluster_routing import RoutedCall, all_of, call_at, has_left, send_all
from .command_plan import CommandPlan, command_plan
from .errors import NotSent
from .key_slots import slot_of, upper
from .multiplexed_redis import MultiplexedRedis
from .reply_stream import ReplyStream
from .server_reply import ServerState, server_state
from .topology import Place, fetch_topology

_GROUPS = frozenset(["SCRIPT", "FUNCTION", "CONFIG", "MEMORY", "SLOWLOG"])  # whose sub-command decides


def _first(replies: list[Any]) -> Any:
    return replies[0]


# what every primary is asked, and how the replies become one; redis-py's cluster client does the same
_EVERY_PRIMARY: dict[str, Callable[[list[Any]], Any]] = {
    **dict.fromkeys(["PING", "SCRIPT LOAD", "FUNCTION LOAD", "FUNCTION DELETE", "FUNCTION RESTORE"], _first),
    **dict.fromkeys(["FLUSHALL", "FLUSHDB", "SCRIPT FLUSH", "FUNCTION FLUSH", "MEMORY PURGE"], _first),
    **dict.fromkeys(["CONFIG SET", "CONFIG RESETSTAT", "CONFIG REWRITE", "SLOWLOG RESET"], _first),
    "DBSIZE": sum,
    "KEYS": lambda replies: [key for keys in replies for key in keys],
    "SCRIPT EXISTS": lambda replies: [all(known) for known in zip(*replies, strict=True)],
}


@lru_cache(maxsize=1024)
def _named(name: str | bytes) -> tuple[CommandPlan, str]:
    """The plan, and the first word of the name in upper case."""
    plan = command_plan(name)
    return plan, plan.name


class ClusterRedis(MultiplexedRedis):
    """As `MultiplexedRedis`, for as long as `connected`. `nodes` are given before the first call.

    A command whose keys lie in several slots raises redis-py's RedisClusterException, and nothing is sent. What takes
    no key goes to one primary, what is about all of them to each. WATCH and the SCAN command are not offered.
    """

    nodes: ClusterNodes
    encode: Callable[[Any], Any]

    async def connect(self) -> None:
        """Nothing: its nodes connect on first use."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command to the node that serves its slot and return its parsed reply."""
        plan, name = _named(args[0])
        words = plan.split(args)
        slot = slot_of(name, words, self.encode)
        if slot is None:
            return await self._without_key(name, words, args, options)
        node = self.nodes.owner(slot)
        try:
            return await call_at(node, plan, args, dict(options))
        except (ResponseError, NotSent) as error:
            if isinstance(error, NotSent) and not has_left(error, node):
                raise
            call = RoutedCall(slot, args, options, error)
            if await call.goes_on(node, self.nodes):
                await send_all(self.nodes, [call])
            if isinstance(call.outcome, ResponseError):
                raise (call.answered_by or node).judged(call.outcome) from error
            return call.outcome

    async def _without_key(self, name: str, words: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if name in _GROUPS and len(words) > 1:
            name = f"{name} {upper(words[1])}"
        if name == "SCAN":
            raise RedisClusterException("SCAN walks one node: use scan_iter(), which walks them all")
        if (merge := _EVERY_PRIMARY.get(name)) is not None:
            return merge(await all_of(self._unkeyed(node, args, options) for node in self.nodes.primaries()))
        node = self.nodes.any_primary()
        try:
            return await self._unkeyed(node, args, options)
        except NotSent as error:
            if not has_left(error, node):
                raise
            return await self._unkeyed(self.nodes.any_primary(), args, options)

    async def _unkeyed(self, node: ClusterNode, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return await call_at(node, command_plan(args[0]), args, dict(options))
        except ResponseError as error:
            raise node.judged(error) from error

    async def scan_iter(self, *args: Any, **options: Any) -> AsyncIterator[Any]:  # type: ignore[override] # so is redis-py's
        """Every key of every primary, as redis-py's: one that moves meanwhile may come twice, or not."""
        for node in self.nodes.primaries():
            async for key in (await node.client()).scan_iter(*args, **options):
                yield key

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> ClusterPipeline:
        """A batch, split by node; with MULTI/EXEC all its keys lie in one slot and it needs a side connection."""
        if transaction:
            self.check_side_connection("pipeline(transaction=True)")
        return ClusterPipeline(self, transaction, shard_hint)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection; calls in flight fail. Idempotent."""
        await self.nodes.aclose()
        await super().aclose(close_connection_pool)

    def streams(self) -> list[ReplyStream]:
        """One to each primary that has been used."""
        return [stream for client in self.nodes.open_clients() for stream in client.streams()]

    @property
    def closed_because(self) -> str | None:
        """None until it is closed: its nodes' connections come and go."""
        return "the client was closed" if self.nodes.closed else None

    @property
    def last_reply_at(self) -> float:
        """No time: each node proves its own connection before use."""
        return float("inf")

    def __repr__(self) -> str:
        return f"<ClusterRedis {len(self.streams())} connections, {self.in_flight} in flight>"


async def join_cluster(
    cluster: ClusterRedis,
    seed: MultiplexedRedis,
    clocks: Clocks,
    new_client: Callable[[Place], MultiplexedRedis],
    new_session: Callable[[Callable[[], MultiplexedRedis]], NodeSession],
    on_topology: Callable[[int], None],
    tell: Callable[[str], None],
    randomness: random.Random | None,
) -> MultiplexedRedis:
    """`cluster`, joined to the nodes that `seed` knows, and `seed` closed; `seed` itself if it is in no cluster.

    Raises ResponseError (CLUSTER is not allowed, or Redis is busy), RedisUnavailable, and redis-py's TimeoutError.
    """
    how = seed.connection_pool.connection_kwargs
    place = Place(how.get("host", "localhost"), int(how.get("port", 6379)))
    try:
        async with asyncio.timeout(clocks.connect_s):
            topology = await fetch_topology(seed.execute_command, place)
    except ResponseError as error:
        found = server_state(error)
        if found is not None and found[1] is not ServerState.ELSEWHERE:
            raise  # it may not say, or not now: that is not to be in no cluster
        return seed
    except TimeoutError as error:
        raise RedisTimeoutError("the cluster did not say which node serves which slot") from error
    await seed.aclose()
    side_connections = cluster.connection_pool
    side_connections.share(side_connections)

    def of_node(at: Place) -> MultiplexedRedis:
        client = new_client(at)
        client.connection_pool.share(side_connections)
        client.response_callbacks = cluster.response_callbacks
        client.wire.parse_by(cluster.response_callbacks)
        return client

    if "host" not in how:  # a Unix socket
        place = next(iter(topology.primaries), place)
    cluster.nodes = ClusterNodes(place, clocks, of_node, new_session, on_topology, tell, randomness)
    cluster.encode = cluster.get_encoder().encode  # type: ignore[no-untyped-call] # redis-py's
    cluster.nodes.apply(topology)
    return cluster
