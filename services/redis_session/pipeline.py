"""redis-py's pipeline, its batch sent over the shared connection instead of one from a pool.

It opens no connection: what needs one goes to redis-py's own code and the client's bounded side pool.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from redis.asyncio.client import Pipeline
from redis.exceptions import ExecAbortError, ResponseError

from .call_deadline import take_back
from .command_plan import Need, command_plan
from .wire import Wire


class Client(Protocol):
    """What a pipeline needs of the client that made it."""

    connection_pool: Any
    response_callbacks: Any
    wire: Wire

    def check_side_connection(self, what: Any, need: Need = ...) -> None:
        """Raise NeedsOwnConnection unless a side connection may serve it."""

    def script_exists(self, *args: str) -> Awaitable[Any]:
        """Which of these scripts the server knows."""

    def script_load(self, script: Any) -> Awaitable[Any]:
        """Its hash."""


class MultiplexedPipeline(Pipeline):
    """Commands collected by method calls, sent next to each other by `execute()`; results and exceptions as redis-py's.

    `execute()` raises what a call raises. A batch cancelled half-written is answered in part: what was written runs.
    """

    def __init__(self, client: Client, transaction: bool, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the batch and return its results. ResponseErrors are among them if not `raise_on_error`."""
        try:
            if self._needs_connection():
                self._client.check_side_connection("this pipeline")
                return await self._execute_aside(raise_on_error)
            if self.command_stack and self.scripts:
                await self.load_scripts()
            return await self._execute_shared(raise_on_error)
        finally:
            await self.reset()  # type: ignore[no-untyped-call] # redis-py's

    async def _execute_aside(self, raise_on_error: bool) -> list[Any]:
        transactional, commands = self._transactional, self.command_stack  # redis-py forgets both
        try:
            return await super().execute(raise_on_error)
        except ResponseError as error:
            names = {command_plan(args[0]).name for args, _ in commands}
            if transactional and discarded(error) and names.isdisjoint(("MULTI", "EXEC", "DISCARD")):
                take_back()  # all of it is one write
            raise

    @property
    def _transactional(self) -> bool:
        return self.is_transaction or self.explicit_transaction

    def _needs_connection(self) -> bool:
        if self._transactional or self.watching:
            return True
        for args, _ in self.command_stack:
            plan = command_plan(args[0])
            if plan.need is not None and (need := plan.need(plan.split(args))) is not None:
                self._client.check_side_connection(args[0], need)
                return True
        return False

    async def load_scripts(self) -> None:
        """Make sure that the server knows the scripts of this pipeline."""
        if self._needs_connection():
            await super().load_scripts()  # type: ignore[no-untyped-call] # redis-py's
            return
        scripts = list(self.scripts)
        known = await self._client.script_exists(*[script.sha for script in scripts])
        for script, exists in zip(scripts, known, strict=True):
            if not exists:
                script.sha = await self._client.script_load(script.script)

    async def _execute_shared(self, raise_on_error: bool) -> list[Any]:
        results = await self._outcomes()
        if raise_on_error:
            self.raise_first_error(self.command_stack, results)
        return results

    async def _outcomes(self) -> list[Any]:
        commands = [(args, command_plan(args[0]), dict(options)) for args, options in self.command_stack]
        return await self._client.wire.outcomes(commands)


def discarded(error: ResponseError) -> bool:
    """Whether EXEC says that nothing of a transaction ran, and MULTI had been taken."""
    if isinstance(error.__cause__, ExecAbortError):  # and this is the first refusal before it
        return _of_a_command(error)
    return isinstance(error, ExecAbortError) and of_exec(error)


def of_exec(error: ResponseError) -> bool:
    """Whether it is what EXEC itself was answered, and not a command before it."""
    return error.__cause__ is None and not _of_a_command(error)


def _of_a_command(error: ResponseError) -> bool:
    return str(error).startswith("Command #")  # redis-py's note
