"""What one node of a cluster says of itself touches no other node. The nodes are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.redis_session import Clocks, NotSent, OutcomeUnknown, RedisUnavailable
from services.redis_session.cluster_client import ClusterRedis
from services.redis_session.topology import Place
from tests.integration.services.conftest import OneAttempt
from tests.integration.services.redis_session.cluster.conftest import Session
from tests.integration.services.redis_session.conftest import peer
from tests.waiting import until

BUSY = b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
ABORTED = b"-EXECABORT Transaction discarded because of: " + BUSY + b"\r\n"

REPLICA = b"-READONLY You can't write against a read only replica.\r\n"


class Node:
    """Answers each command by its name; closes the connection where that is None."""

    def __init__(self) -> None:
        self.url, self.says = "", dict[bytes, bytes | None]()
        self.says |= {b"HELLO": b"%1\r\n+mode\r\n+cluster\r\n", b"PING": b"+PONG\r\n", b"ASKING": b"+OK\r\n"}

    @property
    def place(self) -> Place:
        return Place("127.0.0.1", urlsplit(self.url).port or 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := (await reader.readline())[1:]:
            command = [await self._word(reader) for _ in range(int(words))]
            if (answer := self.says[command[0]]) is None:
                return
            writer.write(answer)

    @staticmethod
    async def _word(reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2]


def slots(*ranges: tuple[int, int, Node]) -> bytes:
    """What CLUSTER SLOTS answers."""
    each = [f"*3\r\n:{first}\r\n:{last}\r\n*2\r\n+127.0.0.1\r\n:{node.place.port}\r\n" for first, last, node in ranges]
    return f"*{len(each)}\r\n{''.join(each)}".encode()


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[Node, Node]]:
    """Two, all of whose slots the first one serves."""
    both = Node(), Node()
    async with AsyncExitStack() as stack:
        for node in both:
            node.url = await stack.enter_async_context(peer(node.serve))
        for node in both:
            node.says[b"CLUSTER"] = slots((0, 16383, both[0]))
        yield both


async def incr_on_both(client: Any) -> Any:
    """A batch, where "a" is served by the target, "b" by the source."""
    return await client.pipeline(transaction=False).incr("a").incr("b").execute()


async def incr_and_get(client: Any) -> Any:
    return await client.pipeline(transaction=False).incr("a").get("b").execute()


async def test_what_the_target_of_a_move_says_is_about_the_target(nodes: tuple[Node, Node], session: Session) -> None:
    source, target = nodes
    source.says[b"INCRBY"] = f"-ASK 1 127.0.0.1:{target.place.port}\r\n".encode()
    target.says[b"INCRBY"] = REPLICA
    redis = session(source.url)
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    of_source = cluster.nodes.at(source.place).session
    of_target = cluster.nodes.at(target.place).session
    before = of_source.open_client, await of_target.healthy_client()
    with pytest.raises(RedisUnavailable):
        await cluster.incr("n")
    assert of_source.open_client is before[0]
    assert of_target.open_client is not before[1]
    await redis.aclose()


async def test_a_pipeline_that_one_node_refuses_costs_no_other_node_its_connection(
    nodes: tuple[Node, Node], session: Session
) -> None:
    source, target = nodes
    source.says[b"CLUSTER"] = slots((0, 8191, source), (8192, 16383, target))
    source.says[b"INCRBY"], target.says[b"INCRBY"] = b":1\r\n", REPLICA
    redis = session(source.url)
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    of_source, of_target = (cluster.nodes.at(node.place).session for node in nodes)
    before = of_source.open_client, of_target.open_client

    with pytest.raises(RedisUnavailable):
        await redis.run(incr_on_both, idempotent=False, within_s=0.2)
    assert redis.open_client is cluster
    assert of_source.open_client is before[0]
    assert of_target.open_client is not before[1]
    await redis.aclose()


@pytest.mark.parametrize("moved", [True, False])
async def test_what_one_node_says_in_a_batch_is_heard_though_another_node_fails(
    nodes: tuple[Node, Node], session: Session, moved: bool
) -> None:
    source, target = nodes
    source.says[b"CLUSTER"] = target.says[b"CLUSTER"] = slots((0, 8191, source), (8192, 16383, target))
    source.says[b"INCRBY"] = None
    target.says[b"INCRBY"] = f"-MOVED 15495 127.0.0.1:{source.place.port}\r\n".encode() if moved else REPLICA
    redis = session(source.url)
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    before = await cluster.nodes.at(target.place).session.healthy_client()
    with pytest.raises(OutcomeUnknown):
        await redis.run(incr_on_both, idempotent=False, within_s=5)
    assert cluster.nodes.owner(15495).place == (source.place if moved else target.place)
    assert (cluster.nodes.at(target.place).session.open_client is before) == moved
    await redis.aclose()


async def test_a_redirect_is_heard_beside_a_refusal_of_the_same_node(
    nodes: tuple[Node, Node], session: Session
) -> None:
    """LOADING is no ResponseError of redis-py's: it fails the whole batch."""
    source, target = nodes
    source.says[b"INCRBY"] = f"-MOVED 15495 127.0.0.1:{target.place.port}\r\n".encode()
    source.says[b"GET"] = b"-LOADING Redis is loading the dataset in memory\r\n"
    redis = session(source.url, randomness=OneAttempt())
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    with pytest.raises(NotSent, match="LOADING"):
        await redis.run(incr_and_get, idempotent=False, within_s=10)
    assert cluster.nodes.owner(15495).place == target.place
    await redis.aclose()


async def test_a_cluster_that_knew_no_node_is_asked_again_by_a_ping(nodes: tuple[Node, Node], session: Session) -> None:
    source, _ = nodes
    source.says[b"CLUSTER"] = b"*0\r\n"
    redis = session(source.url)
    with pytest.raises(RedisUnavailable):
        await redis.ping(0.5)
    source.says[b"CLUSTER"] = slots((0, 16383, source))
    await redis.ping(20)
    await redis.aclose()


async def test_a_node_that_is_busy_when_it_is_asked_for_its_cluster_is_asked_again(
    nodes: tuple[Node, Node], session: Session
) -> None:
    source, _ = nodes
    source.says[b"CLUSTER"] = b"-" + BUSY + b"\r\n"
    redis = session(source.url)
    with pytest.raises(RedisUnavailable) as caught:
        await redis.ping(0.5)
    assert caught.value.reason == "Redis is busy with a script"
    source.says[b"CLUSTER"] = slots((0, 16383, source))
    await redis.ping(20)
    assert isinstance(redis.open_client, ClusterRedis)
    await redis.aclose()


async def incr(client: Any) -> int:
    return int(await client.incr("n"))


async def incr_in_a_transaction(client: Any) -> int:
    """Over a side connection."""
    return int((await client.pipeline().incr("n").execute())[0])


@pytest.mark.parametrize(("first", "reply"), [(incr, b":1\r\n"), (incr_in_a_transaction, b"+QUEUED\r\n")])
async def test_a_session_that_meets_moved_becomes_one_of_the_cluster(
    nodes: tuple[Node, Node], session: Session, first: Callable[[Any], Awaitable[int]], reply: bytes
) -> None:
    """Whose server does not know HELLO, and so does not say that it is of a cluster."""
    source, target = nodes
    for node in nodes:
        node.says |= {b"HELLO": b"-ERR unknown command 'HELLO'\r\n", b"MULTI": b"+OK\r\n", b"CLIENT": b"+OK\r\n"}
        node.says[b"CLUSTER"] = slots((0, 16383, target))
    source.says[b"INCRBY"] = f"-MOVED 1 127.0.0.1:{target.place.port}\r\n".encode()
    source.says[b"EXEC"] = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    target.says |= {b"INCRBY": reply, b"EXEC": b"*1\r\n:1\r\n"}
    redis = session(source.url.replace("protocol=3", "protocol=2"), connections=2)
    assert await redis.run(first, idempotent=False, within_s=5) == 1
    assert isinstance(redis.open_client, ClusterRedis)
    await redis.aclose()


@pytest.mark.parametrize(
    ("multi", "incrby", "exec_", "error"),
    [
        (b"+OK\r\n", b"+QUEUED\r\n", ABORTED, NotSent),
        (b"+OK\r\n", b"-" + BUSY + b"\r\n", ABORTED, NotSent),
        (b"-" + BUSY + b"\r\n", b":1\r\n", ABORTED, OutcomeUnknown),  # outside of any transaction, it has run
        (b"-ERR unknown command 'MULTI'\r\n", b":1\r\n", b"-CLUSTERDOWN The cluster is down\r\n", OutcomeUnknown),
    ],
)
async def test_a_transaction_is_known_not_to_have_run_if_it_had_begun(
    nodes: tuple[Node, Node], session: Session, multi: bytes, incrby: bytes, exec_: bytes, error: type[RedisUnavailable]
) -> None:
    source, _ = nodes
    source.says |= {b"HELLO": b"-ERR unknown command 'HELLO'\r\n", b"CLIENT": b"+OK\r\n"}
    source.says |= {b"MULTI": multi, b"INCRBY": incrby, b"EXEC": exec_}
    redis = session(source.url.replace("protocol=3", "protocol=2"), connections=2, randomness=OneAttempt())
    with pytest.raises(error):
        await redis.run(incr_in_a_transaction, idempotent=False, within_s=10)
    await redis.aclose()


@pytest.mark.parametrize("answer", [b"*1\r\n*2\r\n:0\r\n:1\r\n", b"+OK\r\n", b"*1\r\n*3\r\n:0\r\n:1\r\n+x\r\n"])
async def test_a_node_that_talks_nonsense_does_not_hide_what_the_next_one_says(
    nodes: tuple[Node, Node], session: Session, answer: bytes
) -> None:
    source, target = nodes
    source.says[b"CLUSTER"] = slots((0, 8191, source), (8192, 16383, target))
    redis = session(source.url)
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    source.says[b"CLUSTER"], target.says[b"CLUSTER"] = answer, slots((0, 16383, target))
    cluster.nodes.randomness.shuffle = lambda x: None  # type: ignore[method-assign] # the source is asked first
    cluster.nodes.refresh_soon()
    await until(lambda: not cluster.nodes._refreshing)
    assert [node.place for node in cluster.nodes.primaries()] == [target.place]
    await redis.aclose()


async def test_the_topology_is_asked_for_again_after_a_fetch_that_failed(
    nodes: tuple[Node, Node], session: Session
) -> None:
    source, target = nodes
    redis = session(source.url, Clocks(topology_s=0.05))
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    source.says[b"CLUSTER"] = target.says[b"CLUSTER"] = b"*0\r\n"
    await until(lambda: any("no node" in line for _, line in redis.outage.notices))
    source.says[b"CLUSTER"] = slots((0, 16383, target))
    await until(lambda: cluster.nodes.owner(0).place == target.place, 20)
    await redis.aclose()


async def test_a_node_that_leaves_and_returns_before_its_replies_keeps_its_one_connection(
    nodes: tuple[Node, Node], session: Session
) -> None:
    source, target = nodes
    both, one = slots((0, 8191, source), (8192, 16383, target)), slots((0, 16383, source))
    source.says[b"CLUSTER"] = both
    target.says |= {b"INCRBY": b"", b"DECRBY": b":1\r\n:0\r\n"}  # the reply to the first comes with the second
    redis = session(source.url, Clocks(ping_s=60, stall_s=60, reply_s=60))
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    cluster.nodes.randomness.shuffle = lambda x: None  # type: ignore[method-assign] # the source is asked: the target owes
    owed = asyncio.ensure_future(cluster.incr("a"))
    await until(lambda: cluster.in_flight == 1)
    for answer, primaries in ((one, 1), (both, 2)):
        source.says[b"CLUSTER"] = target.says[b"CLUSTER"] = answer
        await until(lambda: not cluster.nodes._refreshing)
        cluster.nodes.refresh_soon()
        await until(lambda primaries=primaries: len(cluster.nodes.primaries()) == primaries)  # type: ignore[misc]
    assert await cluster.decr("a") == 0
    assert await owed == 1
    await redis.aclose()


async def test_redirects_to_ever_new_places_leave_few_nodes_while_no_topology_comes(
    nodes: tuple[Node, Node], session: Session
) -> None:
    source, _ = nodes
    redis = session(source.url)
    await redis.ping(5)
    cluster = redis.open_client
    assert isinstance(cluster, ClusterRedis)
    for port in range(1, 200):
        cluster.nodes.moved(1, Place("127.0.0.1", port))
    for port in range(200, 400):
        cluster.nodes.at(Place("127.0.0.1", port))
    assert len(cluster.nodes.primaries()) <= 20
    assert cluster.nodes.owner(0).place == source.place
    assert cluster.nodes.owner(1).place.port == 199
    await redis.aclose()
