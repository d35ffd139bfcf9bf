"""`ClusterRedis`: the command API of redis-py over a cluster, by one multiplexed connection per primary.

It follows redirects, which mean that a command did not run, and repeats nothing else: `RedisService.run` does that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any, NamedTuple

from redis.asyncio.connection import SSLConnection
from redis.exceptions import NoPermissionError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .backoff import Backoff
from .call_deadline import current_deadline
from .cluster_nodes import ClusterNode, ClusterNodes, NodeClocks, NodeSession
from .cluster_pipeline import ClusterPipeline
from .command_plan import CommandPlan, command_plan
from .errors import NotSent, Overloaded, RedisUnavailable
from .key_slots import slot_of
from .multiplexed_redis import MultiplexedRedis
from .reply_stream import StreamCounters
from .server_reply import server_state
from .topology import Place, fetch_topology, redirected_to

REDIRECTS = 16  # as redis-py's RedisClusterRequestTTL
SILENT_S = 0.5  # a caller that leaves a node which has been silent for so long has the topology looked at
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


class Route(NamedTuple):
    """What a command's name decides: `name` is its first word, in upper case."""

    plan: CommandPlan
    name: str


@lru_cache(maxsize=1024)
def _route(name: str | bytes) -> Route:
    plan = command_plan(name)
    return Route(plan, plan.name)


class ClusterRedis(MultiplexedRedis):
    """As `MultiplexedRedis`, for as long as `connected`. `nodes` are given by `join` before the first call.

    A command whose keys lie in several slots raises redis-py's RedisClusterException, and nothing is sent. What takes
    no key goes to one primary, what is about all of them to each. WATCH and the SCAN command are not offered.
    """

    nodes: ClusterNodes

    def join(self, nodes: ClusterNodes) -> None:
        """Use these nodes."""
        self.nodes, self.encode = nodes, self.get_encoder().encode  # type: ignore[no-untyped-call] # redis-py's

    # --- calls --------------------------------------------------------------------------------------------------------

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command to the node that serves its slot and return its parsed reply."""
        plan, name = _route(args[0])
        words = plan.split(args)
        slot = slot_of(name, words, self.encode)
        if slot is None:
            return await self._without_key(name, words, args, options)
        return await self._routed(slot, plan, args, options)

    async def _routed(self, slot: int, plan: CommandPlan, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Follow redirects, at most REDIRECTS, and wait where the cluster says so. Raises NotSent past that."""
        backoff, to = Backoff(), None
        for _ in range(REDIRECTS):
            node = to or self.nodes.owner(slot)
            try:
                return await self._at(node, plan, args, options, to is not None)
            except ResponseError as error:
                to = await self.redirected(error, node, slot, backoff)
        raise NotSent(f"the cluster has redirected a command {REDIRECTS} times")

    async def redirected(
        self, error: ResponseError, node: ClusterNode, slot: int, backoff: Backoff
    ) -> ClusterNode | None:
        """Where to send it, with ASKING; None: to the owner of its slot. Raises what speaks of anything else."""
        code, where = self.redirect_of(error, node)
        if code == "MOVED" and where is not None:
            self.nodes.moved(slot, where)
        elif code == "ASK" and where is not None:
            return self.nodes.at(where)
        elif code in ("TRYAGAIN", "CLUSTERDOWN"):
            if code == "CLUSTERDOWN":
                self.nodes.refresh_soon()
            await asyncio.sleep(backoff.next_wait_s())
        else:
            raise node.session.judge(error, node.session.open_client) from error
        return None

    def redirect_of(self, error: Exception, node: ClusterNode) -> tuple[str | None, Place | None]:
        """The code of a reply that says *not here* or *not now*, and the place that it names."""
        found = server_state(error) if isinstance(error, RedisError) else None
        if found is None or found[0] not in ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"):
            return None, None
        if found[0] in ("TRYAGAIN", "CLUSTERDOWN"):
            return found[0], None
        try:
            return found[0], redirected_to(str(error), node.place)[1]
        except ValueError:
            return None, None

    async def healthy(self, node: ClusterNode) -> MultiplexedRedis:
        """The client of a node. Raises as RedisService.healthy_client, and has the topology looked at then."""
        try:
            scope = current_deadline()
            return await node.session.healthy_client(patient=scope is None or scope.patient)
        except (RedisUnavailable, asyncio.CancelledError) as error:
            self.lost(error)
            raise

    def lost(self, error: BaseException) -> None:
        """A node was of no use: maybe another has taken over."""
        if not isinstance(error, Overloaded):
            self.nodes.refresh_soon()

    async def _at(
        self, node: ClusterNode, plan: CommandPlan, args: tuple[Any, ...], options: dict[str, Any], asking: bool
    ) -> Any:
        client = await self.healthy(node)
        try:
            if asking and plan.need is None:
                return await self._ask(client, plan, args, dict(options))
            return await client.execute_command(*args, **options)
        except ResponseError:
            raise
        except RedisUnavailable as error:
            self.lost(error)
            raise node.session.judge(error, client) from error.__cause__
        except RedisError as error:
            raise node.session.judge(error, client) from error
        except asyncio.CancelledError as error:
            if asyncio.get_running_loop().time() - client.last_reply_at > SILENT_S:
                self.lost(error)
            raise

    @staticmethod
    async def _ask(client: MultiplexedRedis, plan: CommandPlan, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        asking = command_plan("ASKING")
        _, call = await client.wire.batch([(("ASKING",), asking, {}), (args, plan, options)])
        if (scope := current_deadline()) is not None:
            scope.count(-1)  # ASKING itself does nothing
        result = client.wire.result(call, plan, options)
        return await result if hasattr(result, "__await__") else result

    # --- what has no key ----------------------------------------------------------------------------------------------

    async def _without_key(self, name: str, words: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if name in _GROUPS and len(words) > 1:
            name = f"{name} {_upper(words[1])}"
        if name == "SCAN":
            raise RedisClusterException("SCAN walks one node: use scan_iter(), which walks them all")
        merge = _EVERY_PRIMARY.get(name)
        if merge is None:
            return await self._unkeyed(self.nodes.any_primary(), args, options)
        replies = await asyncio.gather(
            *(self._unkeyed(node, args, dict(options)) for node in self.nodes.primaries()), return_exceptions=True
        )
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        return merge(list(replies))

    async def _unkeyed(self, node: ClusterNode, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return await self._at(node, _route(args[0]).plan, args, options, False)
        except ResponseError as error:
            raise node.session.judge(error, node.session.open_client) from error

    async def scan_iter(  # type: ignore[override] # redis-py's is an async generator, too
        self, match: Any = None, count: int | None = None, _type: str | None = None, **_: Any
    ) -> AsyncIterator[Any]:
        """Every key of every primary, as redis-py's: one that moves meanwhile may come twice, or not."""
        options = [("MATCH", match), ("COUNT", count), ("TYPE", _type)]
        pieces = [word for option, value in options if value is not None for word in (option, value)]
        for node in self.nodes.primaries():
            cursor: Any = 0
            while True:
                cursor, keys = await self._unkeyed(node, ("SCAN", cursor, *pieces), {})
                for key in keys:
                    yield key
                if int(cursor) == 0:
                    break

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> ClusterPipeline:
        """A batch, split by node; with MULTI/EXEC all its keys lie in one slot and it needs a side connection."""
        if transaction:
            self.check_side_connection("pipeline(transaction=True)")
        return ClusterPipeline(self, transaction, shard_hint)

    def shut_down(self) -> None:
        """End the connections without touching their event loop."""
        for client in self.nodes.open_clients():
            client.shut_down()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection; calls in flight fail. Idempotent."""
        await self.nodes.aclose()
        await super().aclose(close_connection_pool)

    @property
    def closed_because(self) -> str | None:
        """None until it is closed: its nodes' connections come and go."""
        return "the client was closed" if self.nodes.closed else None

    @property
    def last_reply_at(self) -> float:
        """No time: each node proves its own connection before use."""
        return float("inf")

    @property
    def in_flight(self) -> int:
        """Of all nodes."""
        return sum(client.in_flight for client in self.nodes.open_clients())

    @property
    def backlog_calls(self) -> int:
        """Of all nodes."""
        return sum(client.backlog_calls for client in self.nodes.open_clients())

    @property
    def backlog_bytes(self) -> int:
        """Of all nodes."""
        return sum(client.backlog_bytes for client in self.nodes.open_clients())

    @property
    def counters(self) -> StreamCounters:
        """Of the connections that are open now, summed; the largest batch of any."""
        total = StreamCounters()
        for one in (client.counters for client in self.nodes.open_clients()):
            for name in StreamCounters.__slots__:
                mine, other = getattr(total, name), getattr(one, name)
                setattr(total, name, max(mine, other) if name == "max_batch" else mine + other)
        return total

    def __repr__(self) -> str:
        return f"<ClusterRedis {len(self.nodes.open_clients())} connections, {self.in_flight} in flight>"


async def join_cluster(
    cluster: ClusterRedis,
    seed: MultiplexedRedis,
    clocks: NodeClocks,
    new_client: Callable[[Place], MultiplexedRedis],
    new_session: Callable[[Callable[[], MultiplexedRedis]], NodeSession],
    on_topology: Callable[[int], None],
) -> MultiplexedRedis:
    """`cluster`, joined to the nodes that `seed` knows, and `seed` closed; `seed` itself if it is in no cluster.

    Raises NoPermissionError (CLUSTER is not allowed), RedisUnavailable, and redis-py's TimeoutError.
    """
    how = seed.connection_pool.connection_kwargs
    place = Place(how.get("host", "localhost"), int(how.get("port", 6379)))
    tls = issubclass(seed.connection_pool.connection_class, SSLConnection)
    try:
        async with asyncio.timeout(clocks.connect_s):
            topology = await fetch_topology(seed.execute_command, place, tls)
    except NoPermissionError:
        raise
    except ResponseError:
        return seed
    except TimeoutError as error:
        raise RedisTimeoutError("the cluster did not say who serves what") from error
    await seed.aclose()
    cluster.connection_pool.share(cluster.connection_pool)

    def of_node(at: Place) -> MultiplexedRedis:
        client = new_client(at)
        client.connection_pool.share(cluster.connection_pool)
        return client

    cluster.join(ClusterNodes(place, tls, clocks, of_node, new_session, on_topology))
    cluster.nodes.apply(topology)
    return cluster


def _upper(word: Any) -> str:
    return (word if isinstance(word, str) else bytes(word).decode(errors="replace")).upper()
