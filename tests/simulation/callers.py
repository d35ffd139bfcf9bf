"""Callers of the Redis session who do everything a caller may do, and hold it to what it says about each call.

Every command carries a token of its own; at the end the model knows how often each ran.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from services.redis_session import (
    CallDeadline,
    MultiplexedRedis,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    RedisService,
    RedisUnavailable,
)
from services.redis_session.redis_service import GO_ON_S
from tests.simulation.cluster_model import ClusterModel
from tests.simulation.instance import PASSWORD, Gone, Instance
from tests.simulation.loop import SimLoop, World
from tests.simulation.network import Network
from tests.simulation.redis_model import RedisModel

SCRIPT = "redis.call('INCR', KEYS[1]) return redis.error_reply('BUSY slot taken')"
BACKLOG = 20
BATCH = 3  # commands in one
HEARD_S = 0.005  # a busy process has handled by then what it has read
SEVERAL = ("two", "transaction", "nested_run", "gather")  # one command may be refused, and another have run
WAITS_S = 1.0  # at most between two attempts
KNOWN_AFTER_S = 1.4  # an outage is known after 2 s, and the first attempt may wait for a token when the trouble begins
DEAD_S, KNOWN_S = 6.5, 2.2  # from a call in silence until its connection has ended; from an attempt until that is known
SOON_S = 0.3
INF = float("inf")
SLOW = ("inner_deadline", "blocking")  # may take longer than their deadline though nothing is wrong


# --- what is called: each takes the client, four tokens, the session, and chance --------------------------------------
async def echo(redis: Any, tokens: list[str], _: RedisService, chance: random.Random) -> Any:
    payload = tokens[0].encode() + b" " + b"x" * chance.choice((0, 10, 10, 1000, 70_000, 300_000))
    return payload, await redis.echo(payload)


async def incr(redis: Any, tokens: list[str], *_: Any) -> Any:
    return 1, await redis.incr(tokens[0])


async def two(redis: Any, tokens: list[str], _: RedisService, chance: random.Random) -> None:
    """The first of them may run where the second is refused."""
    await chance.choice((redis.incr, redis.echo))(tokens[0])
    await redis.incr(tokens[1])


async def script(redis: Any, tokens: list[str], *_: Any) -> None:
    await redis.eval(SCRIPT, 1, tokens[0])


async def pipeline(redis: Any, tokens: list[str], *_: Any) -> None:
    batch = redis.pipeline(transaction=False)
    for token in tokens:
        batch.incr(token)
    await batch.execute()


async def inner_deadline(redis: Any, tokens: list[str], _: RedisService, chance: random.Random) -> None:
    try:
        async with CallDeadline(chance.choice((0.0005, 0.003, 0.01, 1.0))):
            await redis.incr(tokens[0])
    except RedisUnavailable:
        await asyncio.sleep(5)  # the outer deadline ends this
        raise


async def nested_run(redis: Any, tokens: list[str], session: RedisService, _: random.Random) -> None:
    await session.run(lambda inner: inner.incr(tokens[0]), idempotent=False, within_s=1.0)
    await redis.incr(tokens[1])


async def gather(redis: Any, tokens: list[str], *_: Any) -> None:
    await asyncio.gather(*[redis.incr(token) for token in tokens])


def _child(work: Any) -> Any:
    """A task whose failure need not be read."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def children(redis: Any, tokens: list[str], *_: Any) -> None:
    tasks = [_child(redis.incr(token)) for token in tokens[:2]]
    await asyncio.sleep(0.004)
    await asyncio.wait(tasks)
    for task in tasks:
        task.result()


async def straggler(redis: Any, tokens: list[str], *_: Any) -> None:
    """Its child sends when the operation may have been given up."""

    async def late() -> None:
        await asyncio.sleep(0.03)
        await redis.incr(tokens[0])

    task = _child(late())
    await asyncio.wait([task])
    task.result()


async def transaction(redis: Any, tokens: list[str], *_: Any) -> None:
    """Over a side connection, and then something on the shared one."""
    await redis.pipeline().incr(tokens[0]).incr(tokens[1]).execute()
    await redis.incr(tokens[2])


async def blocking(redis: Any, tokens: list[str], *_: Any) -> None:
    await redis.pipeline().incr(tokens[0]).execute()
    await redis.blpop(["nothing"], timeout=1)


ALL = (
    echo, incr, two, script, pipeline, inner_deadline, nested_run, gather, children, straggler, transaction, blocking,
)  # fmt: skip
OPERATIONS: dict[str, Any] = {operation.__name__: operation for operation in ALL}


# --- on a bare client: each returns what it expects, and what it got --------------------------------------------------
async def _echoed(client: Any, value: str) -> Any:
    return value, await client.echo(value)


async def _batched(client: Any, value: str) -> Any:
    return value, (await client.pipeline(transaction=False).echo(value).ping().ping().execute())[0]


async def _counted(client: Any, value: str) -> Any:
    return 1, await client.incr(value.split()[0])


@dataclass
class Claim:
    """What one call said of its commands."""

    what: str
    tokens: list[str]
    idempotent: bool
    patient: bool = False
    outcome: str = ""


class Callers:
    """Makes calls on the sessions of instances, and on bare clients, and remembers what was claimed."""

    def __init__(self, world: World, redis: RedisModel, network: Network, seed: str) -> None:
        self.world, self.redis, self.network = world, redis, network
        self.random = random.Random(f"{seed}/callers")
        self.claims: list[Claim] = []
        self.bare: list[SimLoop] = []
        self._sent: list[list[str]] = []  # on each bare client, in order
        self._silent: dict[str, tuple[Any, float, float, float]] = {}  # process -> silence, and calls in it
        self.calm_since = 0.0  # since when nothing has been wrong for long enough; inf while something is
        self.wrong_since = 0.0  # since when something is, or was a moment ago
        self.unmoved_since = 0.0  # likewise, for calls of several keys: a slow move of a slot harms them

    def _claim(self, what: str, tokens: int, idempotent: bool, patient: bool = False) -> Claim:
        own = str(len(self.claims))
        if what.startswith("transaction"):
            own = f"{{{own}}}"  # its keys share a slot
        claim = Claim(what, [f"tok:{own}.{number}" for number in range(tokens)], idempotent, patient)
        self.claims.append(claim)
        return claim

    def _own(self, pair: tuple[Any, Any]) -> None:
        if pair[0] != pair[1]:
            self.world.violate(f"a caller got the reply of another: {pair[1]!r} instead of {pair[0]!r}"[:200])

    def call(
        self,
        instance: Instance,
        kind: str,
        within_s: float,
        idempotent: bool,
        cancel_s: float | None,
        patient: bool,
    ) -> None:
        """One `run` with an operation of that kind; cancelled after `cancel_s` seconds if that is not None."""
        claim, began = self._claim(f"{kind} on {instance.loop.name}", 4, idempotent, patient), self.world.now
        session, who, frozen_s = instance.app.redis_service, instance.loop.name, instance.frozen_s
        ended = self.network.ended[who]
        silence = self._silence(instance)
        noticed = within_s >= 0.1 and cancel_s is None
        at_once = self._knows(who, silence, noticed, large=kind == "echo") and not patient
        may_be_unknown = kind in SEVERAL and self.redis.left_behind(who)
        half = OutcomeUnknown if kind in SEVERAL and self.redis.revoked > began else ()  # another node takes no token

        def done(outcome: Any) -> None:
            claim.outcome = _word(outcome)
            if claim.outcome == "error" and not (kind == "script" and str(outcome) == "BUSY slot taken"):
                self.world.violate(f"{claim.what} raised {type(outcome).__name__}: {outcome}")
            elif (
                isinstance(outcome, RedisUnavailable)
                and within_s >= 2
                and kind not in SLOW
                and not may_be_unknown
                and not isinstance(outcome, half)
                and began >= (self.unmoved_since if kind == "transaction" else self.calm_since)
            ):
                self.world.violate(f"{claim.what}: {outcome!r}, and nothing is wrong")
            elif isinstance(outcome, NotSent) and kind not in SLOW:
                in_vain = at_once and silence == self._silence(instance) and self.world.now > began + SOON_S
                self._check_patience(claim, outcome, began + within_s - self.world.now, in_vain)
            elif isinstance(outcome, tuple) and not (idempotent and kind == "incr"):
                self._own(outcome)
            if (
                isinstance(outcome, OutcomeUnknown)
                and kind in ("incr", "two", "pipeline", "transaction")
                and (ended, frozen_s) == (self.network.ended[who], instance.frozen_s)
                and not instance.loop.frozen
            ):
                self._check_unknown(claim, who, outcome, kind, min(self.world.now, began + within_s))

        async def operation(redis: Any) -> Any:
            return await OPERATIONS[kind](redis, claim.tokens, session, self.random)

        def run(_: Any) -> Any:
            return session.run(operation, idempotent=idempotent, within_s=within_s, patient=patient)

        task = instance.begin(f"{kind} {claim.tokens[0]}", run, within_s, done)
        if cancel_s is not None and task is not None:
            self.world.later(cancel_s, task.cancel)

    def _silence(self, instance: Instance) -> Any:
        """What tells one time in which nothing gets through to a process from another; None if something may.

        Not of a cluster: each node's session finds it out alone."""
        if not self.network.shut or instance.loop.frozen or isinstance(self.redis, ClusterModel):
            return None
        return self.network.passed_at, instance.frozen_s, instance.closes

    def _knows(self, who: str, silence: Any, noticed: bool, large: bool) -> bool:
        """Whether a process must know of this silence: a call has met it, and another one when that must have ended
        the connection, and made an attempt begin."""
        now = self.world.now
        met, first, again, last = self._silent.get(who, (None, 0.0, 0.0, 0.0))
        writes = large and again == INF  # bytes that the kernel takes are a sign of life
        if silence is None or silence != met or now - last > GO_ON_S / 2 or writes:
            met, first, again = silence, now, INF
        known = now > again + KNOWN_S
        if noticed or writes:
            self._silent[who] = met, first, again if now < first + DEAD_S else min(again, now), now
        return known

    def _check_patience(self, claim: Claim, outcome: NotSent, left_s: float, in_vain: bool) -> None:
        """A call goes on until its deadline, unless an outage is known: then it ends at once."""
        if in_vain:
            self.world.violate(f"{claim.what} waited in an outage that is known, until {outcome!r}")
        known = self.world.now >= self.wrong_since + KNOWN_AFTER_S
        if left_s > WAITS_S and not known and not isinstance(outcome, Overloaded):
            self.world.violate(f"{claim.what} gave up {left_s:.2f} s before its deadline: {outcome!r}")

    def _check_unknown(self, claim: Claim, who: str, outcome: OutcomeUnknown, kind: str, until: float) -> None:
        """What the server has refused, and said so before the deadline, did not run."""
        refusals = [self.redis.refused.get(token.encode(), 0.0) for token in claim.tokens]
        if kind == "pipeline" and not all(refusals):
            return  # another node of a cluster still has its part
        read_at = self.network.read_at.get(who, 0.0)  # a refusal may lie behind a long reply
        heard = not isinstance(outcome.__cause__, TimeoutError) or max(*refusals, read_at) < until - HEARD_S
        if any(refusals) and heard and self.network.quiet(who) and not self._ran(claim):
            self.world.violate(f"{claim.what} was refused, and its outcome is said to be unknown: {outcome!r}")

    def _ran(self, claim: Claim) -> bool:
        return any(self.redis.ran[token.encode()] for token in claim.tokens)

    def bare_client(self, calls: int, size: int, reset_s: float | None) -> None:
        """A MultiplexedRedis that decodes, speaks RESP3 and has a small backlog, on a process of its own.

        `reset_s`: when its connection is reset, after the first calls; None: never."""
        loop = SimLoop(self.world, f"bare{len(self.bare)}")
        loop.connect, self.network.bound[loop.name] = self.network.connect, 1
        self.bare.append(loop)
        loop.create_task(self._use_bare(calls, size, reset_s))

    async def _use_bare(self, calls: int, size: int, reset_s: float | None) -> None:
        url = f"redis://:{PASSWORD}@redis.test:6379/0"
        client = MultiplexedRedis.from_url(url, decode_responses=True, protocol=3, backlog_calls=BACKLOG)
        try:
            await client.connect()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is nothing to look at
            self.world.note("bare", f"no connection: {type(error).__name__}")
            return
        if reset_s is not None:
            self.world.later(reset_s, self.network.reset_all, asyncio.get_running_loop())
        sent: list[str] = []
        self._sent.append(sent)
        for _ in range(2):
            await asyncio.gather(*[self._bare_call(client, size, sent) for _ in range(calls)])
            await asyncio.sleep(self.random.uniform(0, 0.5))
        await client.aclose()

    async def _bare_call(self, client: MultiplexedRedis, size: int, sent: list[str]) -> None:
        claim, chance, task = self._claim("on a bare client", 1, False), self.random, asyncio.current_task()
        value = f"{claim.tokens[0]} {'x' * size}"
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.002)))
        if chance.random() < 0.2 and task is not None:
            self.world.later(chance.uniform(0, 0.01), task.cancel)
        outcome: Any = None
        try:
            async with CallDeadline(chance.choice((0.002, 0.5, 3.0))):
                sent.append(claim.tokens[0])
                self._own(await chance.choice((_echoed, _batched, _counted))(client, value))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - all are claims
            outcome = error
        claim.outcome = _word(outcome)
        if claim.outcome == "error" and self.world.now >= self.calm_since:
            self.world.violate(f"a bare call raised {outcome!r}")
        if isinstance(outcome, Overloaded) and client.backlog_calls <= BACKLOG - BATCH:
            self.world.violate(f"{outcome!r}, and {client.backlog_calls} calls wait")
        if client.backlog_calls > BACKLOG:
            self.world.violate(f"{client.backlog_calls} calls in a backlog of {BACKLOG}")

    def check(self) -> None:
        """Every claim against what ran, and whether anybody waited while later ones passed."""
        place = {token.decode(): number for number, token in enumerate(self.redis.ran)}
        for sent in self._sent:
            ran = [place[token] for token in sent if token in place]
            if ran != sorted(ran):
                self.world.violate(f"calls passed others on the same connection: {sent} ran in the order {ran}"[:300])
        for claim in self.claims:
            ran = [self.redis.ran[token.encode()] for token in claim.tokens]
            if claim.outcome == "not sent" and any(ran):
                self.world.violate(f"NotSent, and it ran: {claim} {ran}")
            if not claim.idempotent and max(ran) > 1:
                self.world.violate(f"ran more than once: {claim} {ran}")
            alone = claim.what.startswith(("incr", "two", "transaction", "blocking"))  # no part fails by itself
            if alone and not claim.patient and self.redis.denied[claim.tokens[0].encode()] > 1:
                self.world.violate(f"sent again though it was refused for good: {claim}")
            if claim.outcome == "ok" and not ran[0]:
                self.world.violate(f"answered, and it never ran: {claim}")


def _word(outcome: Any) -> str:
    if isinstance(outcome, RedisUnavailable):
        return "not sent" if isinstance(outcome, NotSent) else "unknown"
    if isinstance(outcome, (asyncio.CancelledError, Gone)):
        return "cancelled"
    return "error" if isinstance(outcome, BaseException) else "ok"
