"""Callers of the Redis session who do everything a caller may do, and hold it to what it says about each call.

Every command carries a token of its own; at the end the model knows how often each ran.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from services.redis_session import CallDeadline, MultiplexedRedis, NotSent, OutcomeUnknown, Overloaded, RedisUnavailable

from .instance import PASSWORD, Gone, Instance
from .loop import SimLoop, World
from .network import Network
from .redis_model import RedisModel

Operation = Callable[[Redis], Awaitable[Any]]
SCRIPT = "redis.call('INCR', KEYS[1]) return redis.error_reply('BUSY slot taken')"
BACKLOG = 20


@dataclass
class Claim:
    """What one call said of its commands."""

    what: str
    tokens: list[str]
    idempotent: bool
    outcome: str


class Callers:
    """Makes calls on the sessions of instances, and on bare clients, and remembers what was claimed."""

    def __init__(self, world: World, redis: RedisModel, network: Network, seed: str) -> None:
        self.world, self.redis, self.network = world, redis, network
        self.random = random.Random(f"{seed}/callers")
        self.claims: list[Claim] = []
        self.bare: list[SimLoop] = []
        self.calm_since = 0.0
        self._count = 0

    def _token(self) -> str:
        self._count += 1
        return f"tok:{self._count}"

    # -- through RedisService.run ------------------------------------------------------------------------------------
    def call(self, instance: Instance, kind: str, within_s: float, idempotent: bool, cancel_s: float | None) -> None:
        """One `run` with an operation of that kind; cancelled after `cancel_s` seconds if that is not None."""
        tokens = [self._token() for _ in range(4)]
        operation: Operation = getattr(self, f"op_{kind}")(instance, tokens)
        claim = Claim(f"{kind} on {instance.loop.name}", tokens, idempotent, "")
        self.claims.append(claim)
        began = self.world.now

        def done(outcome: Any) -> None:
            claim.outcome = _word(outcome)
            if isinstance(outcome, Gone):
                return
            if claim.outcome == "error" and not (kind == "script" and str(outcome) == "BUSY slot taken"):
                self.world.violate(f"{claim.what} raised {type(outcome).__name__}: {outcome}")
            elif (
                isinstance(outcome, RedisUnavailable)
                and within_s >= 2
                and kind not in ("inner_deadline", "blocking")
                and self._calm(began)
            ):
                self.world.violate(f"{claim.what}: {outcome!r}, and nothing is wrong")

        redis = instance.app.redis_service
        task = instance.begin(
            f"{kind} {tokens[0]}",
            lambda _: redis.run(operation, idempotent=idempotent, within_s=within_s),
            within_s,
            done,
        )
        if cancel_s is not None and task is not None:
            self.world.later(cancel_s, task.cancel)

    def _calm(self, began: float) -> bool:
        """Whether nothing has been wrong for a while when the call began, nor while it lasted."""
        return began >= self.calm_since

    def _own(self, got: Any, expected: Any) -> None:
        if got != expected:
            self.world.violate(f"a caller got the reply of another: {got!r} instead of {expected!r}")

    def op_echo(self, instance: Instance, tokens: list[str]) -> Operation:
        payload = tokens[0].encode() + b" " + b"x" * self.random.choice((0, 10, 10, 1000, 70_000, 300_000))

        async def operation(redis: Redis) -> None:
            self._own(await redis.echo(payload), payload)  # type: ignore[no-untyped-call] # redis-py's

        return operation

    def op_incr(self, instance: Instance, tokens: list[str]) -> Operation:
        return lambda redis: redis.incr(tokens[0])

    def op_two(self, instance: Instance, tokens: list[str]) -> Operation:
        async def operation(redis: Redis) -> None:
            await redis.incr(tokens[0])
            await redis.incr(tokens[1])

        return operation

    def op_script(self, instance: Instance, tokens: list[str]) -> Operation:
        return lambda redis: redis.eval(SCRIPT, 1, tokens[0])

    def op_pipeline(self, instance: Instance, tokens: list[str]) -> Operation:
        async def operation(redis: Redis) -> None:
            batch = redis.pipeline(transaction=False)
            for token in tokens:
                batch.incr(token)
            await batch.execute()

        return operation

    def op_inner_deadline(self, instance: Instance, tokens: list[str]) -> Operation:
        inner_s = self.random.choice((0.0005, 0.003, 0.01, 1.0))

        async def operation(redis: Redis) -> None:
            try:
                async with CallDeadline(inner_s):
                    await redis.incr(tokens[0])
            except RedisUnavailable:
                await asyncio.sleep(5)  # the outer deadline ends this
                raise

        return operation

    def op_nested_run(self, instance: Instance, tokens: list[str]) -> Operation:
        async def operation(redis: Redis) -> None:
            session = instance.app.redis_service
            await session.run(lambda inner: inner.incr(tokens[0]), idempotent=False, within_s=1.0)
            await redis.incr(tokens[1])

        return operation

    def op_gather(self, instance: Instance, tokens: list[str]) -> Operation:
        async def operation(redis: Redis) -> None:
            await asyncio.gather(*[redis.incr(token) for token in tokens])

        return operation

    def op_children(self, instance: Instance, tokens: list[str]) -> Operation:
        async def operation(redis: Redis) -> None:
            children = [asyncio.ensure_future(redis.incr(token)) for token in tokens[:2]]
            for child in children:
                child.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(0.004)
            await asyncio.wait(children)
            for child in children:
                child.result()

        return operation

    def op_transaction(self, instance: Instance, tokens: list[str]) -> Operation:
        """Over a side connection, and then something on the shared one."""

        async def operation(redis: Redis) -> None:
            batch = redis.pipeline()
            batch.incr(tokens[0])
            batch.incr(tokens[1])
            await batch.execute()
            await redis.incr(tokens[2])

        return operation

    def op_blocking(self, instance: Instance, tokens: list[str]) -> Operation:
        async def operation(redis: Redis) -> None:
            batch = redis.pipeline()
            batch.incr(tokens[0])
            await batch.execute()
            await redis.blpop(["nothing"], timeout=1)

        return operation

    # -- on a client without a session -------------------------------------------------------------------------------
    def bare_client(self, calls: int, size: int) -> None:
        """A MultiplexedRedis that decodes, speaks RESP3 and has a small backlog, on a process of its own."""
        loop = SimLoop(self.world, f"bare{len(self.bare)}")
        loop.connect = self.network.connect
        self.network.bound[loop.name] = 1
        self.bare.append(loop)
        loop.create_task(self._use_bare(calls, size))

    async def _use_bare(self, calls: int, size: int) -> None:
        url = f"redis://:{PASSWORD}@redis.test:6379/0"
        client = MultiplexedRedis.from_url(url, decode_responses=True, protocol=3, backlog_calls=BACKLOG)
        try:
            await client.connect()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is nothing to look at
            self.world.note("bare", f"no connection: {type(error).__name__}")
            return
        for _ in range(2):
            await asyncio.gather(*[self._bare_call(client, size) for _ in range(calls)])
            await asyncio.sleep(self.random.uniform(0, 0.5))
        await client.aclose()

    async def _bare_call(self, client: MultiplexedRedis, size: int) -> None:
        token = self._token()
        claim = Claim("on a bare client", [token], False, "")
        self.claims.append(claim)
        await asyncio.sleep(self.random.choice((0, 0, 0.001, 0.002)))
        if self.random.random() < 0.2:
            task = asyncio.current_task()
            assert task is not None
            self.world.later(self.random.uniform(0, 0.01), task.cancel)
        try:
            async with CallDeadline(self.random.choice((0.002, 0.5, 3.0))):
                if self.random.random() < 0.5:
                    value = f"{token} {'x' * size}"
                    self._own(await client.echo(value), value)  # type: ignore[no-untyped-call] # redis-py's
                else:
                    self._own(await client.incr(token), 1)
            claim.outcome = "ok"
        except (RedisUnavailable, asyncio.CancelledError) as error:
            claim.outcome = _word(error)
        except Exception as error:  # noqa: BLE001 - there should be none
            claim.outcome = _word(error)
            if not self.redis.state and not self.redis.losses:
                self.world.violate(f"a bare call raised {error!r}")
        if client.backlog_calls > BACKLOG:
            self.world.violate(f"{client.backlog_calls} calls in a backlog of {BACKLOG}")

    # -- the end -----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Every claim against what ran."""
        for claim in self.claims:
            ran = [self.redis.ran[token.encode()] for token in claim.tokens]
            if claim.outcome == "not sent" and any(ran):
                self.world.violate(f"NotSent, and it ran: {claim} {ran}")
            if not claim.idempotent and max(ran) > 1:
                self.world.violate(f"ran more than once: {claim} {ran}")
            if claim.outcome == "ok" and not ran[0]:
                self.world.violate(f"answered, and it never ran: {claim}")


def _word(outcome: Any) -> str:
    if isinstance(outcome, NotSent | Overloaded):
        return "not sent"
    if isinstance(outcome, OutcomeUnknown | RedisUnavailable):
        return "unknown"
    if isinstance(outcome, asyncio.CancelledError):
        return "cancelled"
    if isinstance(outcome, BaseException):
        return "error"
    return "ok"
