"""Calls on their way through a cluster: to the node that serves their slot, and on to where it sends them.

A redirect means that a call did not run. Nothing else is repeated: `RedisService.run` does that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from redis.exceptions import RedisError, ResponseError

from .backoff import Backoff
from .call_deadline import take_back
from .cluster_nodes import ClusterNode, ClusterNodes
from .command_plan import CommandPlan, command_plan
from .errors import NotSent, OutcomeUnknown, Overloaded, RedisUnavailable
from .multiplexed_redis import MultiplexedRedis
from .server_reply import server_state
from .topology import Place, redirected_to

REDIRECTS = 16  # as redis-py's RedisClusterRequestTTL
SILENT_S = 0.5  # a caller that leaves a node which has been silent for so long has the topology looked at
_ASKING = (("ASKING",), command_plan("ASKING"), dict[str, Any]())


class RoutedCall:
    """A command with keys. `asked`: the node that an ASK has named; `answered_by`: where it has been sent last.

    `outcome`: its reply, its ResponseError, or the NotSent of a node that has left the cluster meanwhile.
    """

    def __init__(self, slot: int, args: tuple[Any, ...], options: dict[str, Any], outcome: Any = None) -> None:
        self.slot, self.args, self.options, self.outcome = slot, args, options, outcome
        self.plan = command_plan(args[0])
        self._backoff: Backoff | None = None  # made when it is wanted: seeding its generator costs more than a call
        self.asked: ClusterNode | None = None
        self.answered_by: ClusterNode | None = None

    @property
    def commands(self) -> list[tuple[tuple[Any, ...], CommandPlan, dict[str, Any]]]:
        """What is written, next to each other."""
        own = (self.args, self.plan, dict(self.options))
        return [_ASKING, own] if self.asked else [own]

    @property
    def alone(self) -> bool:
        """Whether it wants a side connection. No pipeline takes it then, and ASKING is not asked there."""
        return self.plan.need is not None and self.plan.need(self.plan.split(self.args)) is not None

    async def goes_on(self, node: ClusterNode, nodes: ClusterNodes) -> bool:
        """Whether the node has said *not here*, and it knows where to go next, or *not now*, and it has waited.

        A node that has left while the call waited for its connection says nothing: its slot is another's by now.
        """
        if isinstance(self.outcome, NotSent):
            self.asked = None
            return True
        code, self.asked = self._code, None
        if code in ("TRYAGAIN", "CLUSTERDOWN"):
            if code == "CLUSTERDOWN":
                nodes.refresh_soon()
            await self.wait(nodes)
            return True
        place = self.learn(node, nodes)
        if place is not None and code == "ASK":
            self.asked = nodes.at(place)
        return place is not None

    def learn(self, node: ClusterNode, nodes: ClusterNodes) -> Place | None:
        """Where the node sends it, or None. Who serves its slot is known from now on."""
        code = self._code
        place = redirected_to(str(self.outcome), node.place) if code in ("MOVED", "ASK") else None
        if place is not None and code == "MOVED":
            nodes.moved(self.slot, place)
        return place

    @property
    def _code(self) -> str:
        found = server_state(self.outcome) if isinstance(self.outcome, ResponseError) else None
        return found[0] if found else ""

    async def wait(self, nodes: ClusterNodes) -> None:
        """Longer each time: the node will take it sooner or later."""
        self._backoff = self._backoff or Backoff(randomness=nodes.randomness)
        await asyncio.sleep(self._backoff.next_wait_s())


async def call_at(node: ClusterNode, plan: CommandPlan, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """One command as it comes. Raises its ResponseError, and of all else what the node's session makes of it."""
    client = None
    try:
        client = await node.client()
        if plan.need is None:  # past execute_command, which would look at its name once more
            return await client.wire.call(args, plan, options)
        return await client.execute_command(*args, **options)
    except ResponseError:
        raise
    except (RedisError, asyncio.CancelledError) as error:
        raise _judged(error, node, client) from error.__cause__


async def send_at(node: ClusterNode, calls: list[RoutedCall]) -> None:
    """In one write. Afterwards each has its outcome; whatever else fails is raised, as by `call_at`."""
    first, found = calls[0], list[Any]()
    for call in calls:
        call.answered_by, call.outcome = node, None
    if first.alone:
        first.outcome = await outcome_of(node, call_at(node, first.plan, first.args, dict(first.options)))
        return
    client = None
    try:
        client = await node.client()
        await client.wire.outcomes([part for call in calls for part in call.commands], found)
    except (RedisError, asyncio.CancelledError) as error:
        _share_out(found, calls)
        if not has_left(error, node) or any(isinstance(outcome, OutcomeUnknown) for outcome in found):
            raise _judged(error, node, client) from error.__cause__
        for call in calls:
            if not found or (isinstance(call.outcome, RedisError) and not isinstance(call.outcome, ResponseError)):
                call.outcome = error
        return
    _share_out(found, calls)


def _share_out(found: list[Any], calls: list[RoutedCall]) -> None:
    """Give each call its own outcome; if none has been found, nothing."""
    outcomes = iter(found)
    for call in calls if found else ():
        if call.asked is not None and not isinstance(next(outcomes), RedisError):
            take_back()  # ASKING itself does nothing; a refused one has been taken back already
        call.outcome = next(outcomes)


async def send_all(nodes: ClusterNodes, calls: list[RoutedCall]) -> None:
    """To all nodes at once, and on, at most REDIRECTS times: NotSent past that. Afterwards each has its outcome."""
    left = calls
    for _ in range(REDIRECTS):
        shares: dict[ClusterNode, list[RoutedCall]] = {}
        for call in left:
            shares.setdefault(call.asked or nodes.owner(call.slot), []).append(call)
        try:
            await all_of(send_at(node, share) for node, share in shares.items())
        except BaseException:  # all are repeated: not by the same way
            for node, share in shares.items():
                for call in share:
                    call.learn(node, nodes)
            raise
        left = [call for node, share in shares.items() for call in share if await call.goes_on(node, nodes)]
        if not left:
            return
    raise NotSent(f"the cluster has redirected {len(left)} commands {REDIRECTS} times")


async def all_of(works: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each returns. Raises the first failure, once all have ended."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)


async def outcome_of(node: ClusterNode, work: Coroutine[Any, Any, Any]) -> Any:
    """What it returns, or its ResponseError, or its NotSent if the node has left."""
    try:
        return await work
    except ResponseError as error:
        return error
    except NotSent as error:
        if has_left(error, node):
            return error
        raise


def has_left(error: BaseException, node: ClusterNode) -> bool:
    """Whether it did not run because its node has left: the map of slots knows who serves it now."""
    return node.left and isinstance(error, NotSent) and not isinstance(error, Overloaded)


def _judged(error: BaseException, node: ClusterNode, client: MultiplexedRedis | None) -> BaseException:
    """What a failure means. Where a node was of no use, another may have taken over."""
    left = isinstance(error, asyncio.CancelledError)
    silent = client is None or asyncio.get_running_loop().time() - client.last_reply_at > SILENT_S
    if silent if left else isinstance(error, RedisUnavailable) and not isinstance(error, Overloaded):
        node.suspect()
    return node.session.judge(error, client) if isinstance(error, RedisError) else error
