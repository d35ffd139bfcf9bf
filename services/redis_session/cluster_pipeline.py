"""A pipeline over a cluster: its commands split by node, one batch for each, results in the order of the commands."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import ResponseError

from .backoff import Backoff
from .call_deadline import current_deadline
from .cluster_nodes import ClusterNode
from .command_plan import CommandPlan, command_plan
from .errors import NeedsOwnConnection, NotSent
from .key_slots import slot_of
from .pipeline import MultiplexedPipeline

ROUNDS = 16  # of redirects, for each command
_ASKING = (("ASKING",), command_plan("ASKING"), dict[str, Any]())


class _Entry:
    """One command on its way: `outcome` is its reply or its ResponseError, `asked` where it was redirected to."""

    def __init__(self, slot: int, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.slot, self.args, self.options, self.plan = slot, args, options, command_plan(args[0])
        self.backoff = Backoff()
        self.asked: ClusterNode | None = None
        self.outcome: Any = None

    @property
    def command(self) -> tuple[tuple[Any, ...], CommandPlan, dict[str, Any]]:
        return self.args, self.plan, dict(self.options)


class ClusterPipeline(MultiplexedPipeline):
    """As redis-py's. The batches of several nodes run side by side: only commands of one slot keep their order."""

    _client: Any  # a ClusterRedis, which makes this one

    async def watch(self, *names: Any) -> None:  # type: ignore[override] # redis-py types it as both kinds at once
        """Not offered on a cluster. Raises NeedsOwnConnection."""
        raise NeedsOwnConnection("WATCH on a cluster needs a redis.asyncio.RedisCluster of your own")

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the batch and return its results. ResponseErrors stand among them if not `raise_on_error`."""
        if not self._needs_connection():
            return await super().execute(raise_on_error)
        try:
            node = self._client.nodes.owner(self._only_slot())
            there = (await self._client.healthy(node)).pipeline(self.is_transaction)
            there.command_stack, there.scripts = self.command_stack, self.scripts
            results: list[Any] = await there.execute(raise_on_error)
            return results
        finally:
            await self.reset()  # type: ignore[no-untyped-call] # redis-py's

    def _only_slot(self) -> int:
        slots = {self._slot(args) for args, _ in self.command_stack}
        if len(slots) != 1 or None in slots:
            raise NeedsOwnConnection("a transaction's keys lie in one slot of a cluster: give them one {hash tag}")
        return next(slot for slot in slots if slot is not None)

    def _slot(self, args: tuple[Any, ...]) -> int | None:
        plan = command_plan(args[0])
        return slot_of(plan.name, plan.split(args), self._client.encode)

    async def _execute_shared(self, raise_on_error: bool) -> list[Any]:
        entries = [self._entry(args, dict(options)) for args, options in self.command_stack]
        left = entries
        for _ in range(ROUNDS):
            if not left:
                break
            left = await self._round(left)
        if left:
            raise NotSent(f"the cluster has redirected {len(left)} commands of a pipeline {ROUNDS} times")
        results = [entry.outcome for entry in entries]
        if raise_on_error:
            self.raise_first_error(self.command_stack, results)
        return results

    def _entry(self, args: tuple[Any, ...], options: dict[str, Any]) -> _Entry:
        slot = self._slot(args)
        if slot is None:  # redis-py's cluster pipelines refuse most of them, too
            raise NeedsOwnConnection(f"{args[0]} has no key: on a cluster, call it outside of the pipeline")
        return _Entry(slot, args, options)

    async def _round(self, entries: list[_Entry]) -> list[_Entry]:
        """Send to each node what is its own; return what is to be sent elsewhere."""
        shares: dict[ClusterNode, list[_Entry]] = {}
        for entry in entries:
            node = entry.asked or self._client.nodes.owner(entry.slot)
            shares.setdefault(node, []).append(entry)
        failures = await asyncio.gather(*(self._share(*share) for share in shares.items()), return_exceptions=True)
        for failure in failures:
            if isinstance(failure, BaseException):
                raise failure
        left = [entry for entry in entries if isinstance(entry.outcome, ResponseError)]
        return [entry for entry in left if await self._is_elsewhere(entry, shares)]

    async def _share(self, node: ClusterNode, entries: list[_Entry]) -> None:
        client = await self._client.healthy(node)
        commands = [part for entry in entries for part in ([_ASKING] if entry.asked else []) + [entry.command]]
        calls = iter(await client.wire.batch(commands))
        for entry in entries:
            if entry.asked:
                next(calls)
                if (scope := current_deadline()) is not None:
                    scope.count(-1)  # ASKING itself does nothing
            try:
                result = client.wire.result(next(calls), entry.plan, dict(entry.options))
                entry.outcome = await result if hasattr(result, "__await__") else result
            except ResponseError as error:
                entry.outcome = error

    async def _is_elsewhere(self, entry: _Entry, shares: dict[ClusterNode, list[_Entry]]) -> bool:
        node = next(node for node, share in shares.items() if entry in share)
        if self._client.redirect_of(entry.outcome, node)[0] is None:
            return False
        entry.asked = await self._client.redirected(entry.outcome, node, entry.slot, entry.backoff)
        return True
