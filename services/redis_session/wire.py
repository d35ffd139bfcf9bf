"""The one connection of a client, as the client and its pipelines use it: commands in, parsed replies out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .call_deadline import take_back
from .command_plan import CommandPlan
from .errors import NotSent, RedisUnavailable
from .opening import open_stream, place
from .packing import Packer
from .reply_stream import Call, ReplyStream, StreamLimits
from .server_reply import did_not_run

_NOT_FOR_CALLBACKS = (NEVER_DECODE, EMPTY_RESPONSE, "keys")  # for redis-py itself and its cache


class Wire:
    """Opened once. `how`: a connection of redis-py, never connected, that says where to and as whom."""

    def __init__(
        self, how: AbstractConnection, callbacks: Any, limits: StreamLimits, tls_name: str | None = None
    ) -> None:
        self.place, self.mode, self._tls_name = place(how), "", tls_name
        self.opened: ReplyStream | None = None
        self._how, self._limits = how, limits
        self.parse_by(callbacks)
        self._pack = Packer(how.encoder).pack
        self._opening = False

    def parse_by(self, callbacks: Any) -> None:
        """Parse replies by these response callbacks of redis-py's."""
        self._callback_of = partial(dict.get, callbacks)  # keys are upper case: their own `get` would only upper them

    async def open(self, within_s: float) -> None:
        """Raises what `open_stream` does, redis-py's TimeoutError, and RuntimeError the second time."""
        if self.opened is not None or self._opening:
            raise RuntimeError("connect() is for a new client; make another one")
        self._opening = True
        try:
            async with asyncio.timeout(within_s):
                self.opened, self.mode = await open_stream(self._how, self._limits, self._tls_name)
        except TimeoutError as error:
            tls = "TLS " if isinstance(self._how, SSLConnection) else ""
            raise RedisTimeoutError(f"no {tls}connection to Redis within {within_s:g} s") from error
        finally:
            self._opening = False

    @property
    def stream(self) -> ReplyStream:
        """The open connection. Raises NotSent before `open`."""
        if self.opened is None:
            raise NotSent("the client is not connected: await client.connect() first")
        return self.opened

    async def call(self, args: tuple[Any, ...], plan: CommandPlan, options: dict[str, Any]) -> Any:
        """Send one command and return its parsed reply."""
        stream = self.opened or self.stream
        words = args if plan.words is None else plan.split(args)
        call = stream.send(self._pack(words), NEVER_DECODE in options)
        try:
            reply = await call
        except asyncio.CancelledError:
            stream.leave([call])
            raise
        except RedisError as error:
            return self._failed(error, plan, options)
        if self._callback_of(plan.key) is None:
            return reply
        result = self._parsed(reply, plan, options)
        return await result if hasattr(result, "__await__") else result

    async def batch(self, commands: Iterable[tuple[tuple[Any, ...], CommandPlan, dict[str, Any]]]) -> list[Call]:
        """Send commands next to each other, all or none, and wait until each has its reply or has failed."""
        packed = [(self._pack(plan.split(args)), NEVER_DECODE in options) for args, plan, options in commands]
        calls = self.stream.send_batch(packed)
        if not calls:
            return calls
        try:
            await asyncio.wait(calls[-1:])  # replies come in order
        except asyncio.CancelledError:
            self.stream.leave(calls)
            raise
        for call in calls:
            call.exception()  # marks a failure as seen, whether or not its turn to be raised comes
        return calls

    async def outcomes(
        self, commands: Sequence[tuple[tuple[Any, ...], CommandPlan, dict[str, Any]]], found: list[Any] | None = None
    ) -> list[Any]:
        """Of a batch: the parsed replies, and ResponseErrors at their places. Raises whatever else a call raises.

        `found`: an empty list that takes them, and then what else was raised as well.
        """
        calls, found = await self.batch(commands), [] if found is None else found
        found += [self._outcome(call, *command[1:]) for call, command in zip(calls, commands, strict=True)]
        for index, result in enumerate(found):
            if isinstance(result, Exception) and not isinstance(result, ResponseError):
                raise result  # only now: all of them have been looked at, so that what was refused counts as unwritten
            if hasattr(result, "__await__"):  # of a callback that is a coroutine
                found[index] = await result
        return found

    def _outcome(self, call: Call, plan: CommandPlan, options: dict[str, Any]) -> Any:
        try:
            return self._result(call, plan, options)
        except RedisError as error:
            return error

    def _result(self, call: Call, plan: CommandPlan, options: dict[str, Any]) -> Any:
        try:
            reply = call.result()
        except RedisError as error:
            return self._failed(error, plan, options)
        return self._parsed(reply, plan, options)

    def _parsed(self, reply: Any, plan: CommandPlan, options: dict[str, Any]) -> Any:
        """A reply through its response callback, as redis-py's parse_response does it."""
        callback = self._callback_of(plan.key)
        if callback is None:
            return reply
        if options:
            for name in _NOT_FOR_CALLBACKS:
                options.pop(name, None)
        return callback(reply, **options)

    def _failed(self, error: RedisError, plan: CommandPlan, options: dict[str, Any]) -> Any:
        if isinstance(error, RedisUnavailable):
            raise error
        error.command = plan.name  # type: ignore[attr-defined] # for server_state
        if did_not_run(error):
            take_back()
        if EMPTY_RESPONSE in options and isinstance(error, ResponseError):
            return options[EMPTY_RESPONSE]
        raise error
