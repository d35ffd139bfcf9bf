"""A pipeline over a cluster: its commands split by node, one batch for each, results in the order of the commands."""

from __future__ import annotations

from typing import Any

from redis.exceptions import CrossSlotTransactionError, RedisClusterException, ResponseError

from .call_deadline import take_back
from .cluster_nodes import ClusterNode
from .cluster_routing import REDIRECTS, RoutedCall, outcome_of, send_all
from .command_plan import command_plan
from .errors import NeedsOwnConnection, NotSent
from .key_slots import slot_of
from .pipeline import MultiplexedPipeline, discarded, of_exec


class ClusterPipeline(MultiplexedPipeline):
    """As redis-py's. The batches of several nodes run side by side: only commands of one slot keep their order.

    Raises RedisClusterException, and sends nothing, if a command has no key or a transaction's keys several slots.
    """

    _client: Any  # a ClusterRedis, which makes this one

    async def watch(self, *names: Any) -> None:  # type: ignore[override] # redis-py types it as both kinds at once
        """Not offered on a cluster. Raises NeedsOwnConnection."""
        raise NeedsOwnConnection("WATCH on a cluster needs a redis.asyncio.RedisCluster of your own")

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the batch and return its results. ResponseErrors are among them if not `raise_on_error`."""
        if not self.command_stack or not self._needs_connection():
            return await super().execute(raise_on_error)
        try:
            slots = {self._slot(args) for args, _ in self.command_stack}
            if len(slots) != 1:
                raise CrossSlotTransactionError(
                    "a transaction's keys lie in one slot of a cluster: give them one {hash tag}"
                )
            return await self._at_owner(RoutedCall(slots.pop(), ("EXEC",), {}), raise_on_error)
        finally:
            await self.reset()  # type: ignore[no-untyped-call] # redis-py's

    async def _at_owner(self, call: RoutedCall, raise_on_error: bool) -> list[Any]:
        """On a side connection to the node that serves its slot; again where that has discarded it, or has left."""
        nodes = self._client.nodes
        for _ in range(REDIRECTS):
            node = nodes.owner(call.slot)
            call.outcome = results = await outcome_of(node, self._at(node, raise_on_error))
            if not isinstance(results, NotSent | ResponseError):
                return list(results)
            if isinstance(results, NotSent):
                continue
            whole = discarded(results)
            if not (self._transactional and (whole or of_exec(results)) and await call.goes_on(node, nodes)):
                raise results
            if not whole:
                take_back()  # all of it is one write
            if call.asked is not None:  # a transaction asks for nothing: it waits for the end of the move
                await call.wait(nodes)
        raise NotSent(f"the cluster has redirected a transaction {REDIRECTS} times")

    async def _at(self, node: ClusterNode, raise_on_error: bool) -> list[Any]:
        there = (await node.client()).pipeline(self._transactional)
        there.command_stack, there.scripts = list(self.command_stack), self.scripts
        return await there.execute(raise_on_error)

    async def _outcomes(self) -> list[Any]:
        calls = [RoutedCall(self._slot(args), args, dict(options)) for args, options in self.command_stack]
        try:
            await send_all(self._client.nodes, calls)
        finally:
            for call in calls:
                if isinstance(call.outcome, ResponseError) and call.answered_by is not None:
                    call.answered_by.heard(call.outcome)
        return [call.outcome for call in calls]

    def _slot(self, args: tuple[Any, ...]) -> int:
        plan = command_plan(args[0])
        slot = slot_of(plan.name, plan.split(args), self._client.encode)
        if slot is None:  # redis-py's cluster pipelines refuse most of them, too
            raise RedisClusterException(f"{args[0]} has no key: on a cluster, call it outside of the pipeline")
        return slot
