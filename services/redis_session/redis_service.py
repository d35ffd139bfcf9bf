"""The Redis session of one worker process: one client at module scope, proved before use, recreated when it fails.

Built without I/O; connects on first use, on the event loop that runs then. Business code calls `run`, which gives its
operation a total deadline, repeats it when that is safe, and says what is known when it is not. Nothing here knows the
business, and no secret of the URL shows in a repr, a log line or an error.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
import os
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .backoff import Backoff
from .call_deadline import CallDeadline
from .clocks import Clocks as Clocks
from .cluster_client import ClusterRedis, join_cluster
from .credential import Credential, RedisCredential
from .errors import NotSent, OutcomeUnknown, RedisNotConfigured, RedisUnavailable
from .failures import Failures
from .login import Login
from .multiplexed_redis import ADDRESS, MultiplexedRedis
from .opening import client_name
from .outage import NO_TLS, SILENT, Outage, reason_not_connected, reason_of_code
from .server_reply import ServerState, answer_to_ping, hear, server_state
from .topology import Place

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=MultiplexedRedis)
CLOSE_S = 1.0  # the kernel finishes a close that takes longer
SETTLED_S = 5.0  # a connection that has lasted this long resets the backoff; a shorter one was no recovery
HELD_UP_S = 0.25  # a timer later than this: somebody's code has held up the event loop, and nobody could hear Redis
GO_ON_S = 60.0  # attempts go on for so long after the last call
_LOGIN_REFUSED = frozenset(["NOAUTH", "WRONGPASS"])
_INHERITED: list[object] = []  # see _guard_loop


@dataclass
class Hooks:
    """Called on the event loop when something has happened. What they raise is logged and goes no further."""

    on_connect: Callable[[], None] = lambda: None
    on_recreate: Callable[[str], None] = lambda reason: None
    on_unavailable: Callable[[RedisUnavailable], None] = lambda error: None


@dataclass
class Counters:
    """What the session has done since the process started."""

    connections_opened: int = 0
    connects_failed: int = 0
    pings: int = 0
    recreates: int = 0
    commands: int = 0
    failures: int = 0
    in_flight: int = 0


class RedisService:
    """One Redis client for every caller of this process.

    Args:
        url: `redis://` or `rediss://` address; None makes every call raise RedisNotConfigured.
        connections: upper bound of the connections this process opens to Redis; the connection budget counts it.
        clocks: deadlines of the session itself.
        credential: instead of a user and password in the address; renewed here, in the stream of the connection.
        name: shown in CLIENT LIST, with the process id behind it.
        randomness: for the jitter between connection attempts.
    """

    def __init__(
        self,
        url: str | None,
        *,
        connections: int = 1,
        clocks: Clocks | None = None,
        credential: RedisCredential | None = None,
        name: str = "",
        hooks: Hooks | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self.clocks, self.hooks, self.counters = clocks or Clocks(), hooks or Hooks(), Counters()
        self._url, self._connections, self._credential = url, connections, credential
        self._backoff, self._randomness = Backoff(randomness=randomness), randomness
        self._make_client: Callable[[], MultiplexedRedis] = self._new_client
        self._of_cluster = False  # True: a session with one node, made by the session with the whole cluster
        self._moved = False  # True: a server that does not call itself a cluster has answered MOVED
        self.primaries = 1  # more in a cluster, once it is known
        self._name = name
        self._login = Login()
        self.outage = Outage(self.clocks.outage_s)
        if credential is not None:
            credential.tell = self.outage.note
        self._start_afresh(None)

    def _start_afresh(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop, self._pid = loop, os.getpid()
        self._client: MultiplexedRedis | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._connected_at = self._not_before = self._called_at = float("-inf")
        self.outage.trying_since = None

    def __repr__(self) -> str:
        return f"<RedisService {'connected' if self._client else 'not connected'}, {self.counters.in_flight} in flight>"

    @property
    def open_client(self) -> MultiplexedRedis | None:
        """The current client, for inspection only: calls go through `run` or `healthy_client`."""
        return self._client

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        """Run one operation on a healthy client, within `within_s` seconds in all.

        It is repeated after every failure that left nothing done, and after an unknown outcome only if `idempotent`.
        A `patient` one is also repeated after what does not pass by itself: a full Redis, bad credentials, no rights,
        no address, a full backlog. In a known outage it waits, where others get their error at once.

        Raises:
            NotSent: it did not run. Overloaded: nor would it if repeated now.
            OutcomeUnknown: it may have run.
            RedisUnavailable: Redis refuses it for a reason of its own (out of memory, wrong credentials, no rights).
            redis.exceptions.RedisError: the operation itself is wrong (its own error reply).
            RedisNotConfigured: there is no usable address.
        Whatever else the operation raises passes unchanged, a TimeoutError of its own too.
        """
        self._guard_loop()
        self.counters.commands += 1
        self.counters.in_flight += 1
        try:
            return await self._repeat(operation, idempotent, self._now() + within_s, patient)
        except RedisUnavailable as error:
            self.counters.failures += 1
            self._call_hook(self.hooks.on_unavailable, error)
            await asyncio.sleep(0)  # perhaps nothing was awaited, and a caller in a tight loop must let others go on
            raise
        finally:
            self.counters.in_flight -= 1
            if self.outage.notices:
                self.outage.say(log)

    async def healthy_client(self, *, patient: bool = True) -> MultiplexedRedis:
        """A healthy client: at once while replies keep coming, after a PING when idle, after a recreate if that fails.

        Bounded by the session's own clocks; in a known outage it raises at once unless `patient`. Raises NotSent when a
        connection attempt has failed, RedisNotConfigured, or RedisUnavailable when Redis refuses our credentials.
        """
        self._guard_loop()
        if (proven := self._proven_client()) is not None:
            return proven
        client = self._client
        if client is None:
            return await self._connected(patient)
        if client.connected and await self._shared("ping", lambda: self._ping(client), patient):
            return client
        self._discard(client, client.closed_because or "a PING was not answered")
        self.outage.say(log)
        return self._client or await self._connected(patient)

    def _proven_client(self) -> MultiplexedRedis | None:
        """The client, if a reply has come lately: then nothing needs to be awaited."""
        client, now = self._client, self._now()
        self._called_at = now
        fresh = client is not None and now - client.last_reply_at < self.clocks.idle_check_s and client.connected
        return client if fresh else None

    async def ping(self, within_s: float) -> None:
        """Prove the whole way to Redis and back, within `within_s` seconds. An error about PING alone proves it, too.

        Raises RedisUnavailable, also while the last call was refused for a reason that a PING does not meet.
        """
        await self.run(answer_to_ping, idempotent=True, within_s=within_s)
        if (refusal := self.outage.refusal(self._now())) is not None:
            raise RedisUnavailable(f"the last call was refused: {refusal}", refusal)

    async def aclose(self) -> None:
        """Close the session and end its tasks. A later call opens it again, and so does one in progress."""
        self._guard_loop()
        self._called_at = float("-inf")
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._closing, return_exceptions=True)
        self.outage.trying_since = None
        client, self._client = self._client, None
        if client is not None:
            await self._close(client)

    async def _repeat(
        self, operation: Callable[[Redis], Awaitable[T]], idempotent: bool, ends_at: float, patient: bool
    ) -> T:
        failures: Failures | None = None  # made at the first one: seeding its generator costs more than a call
        while True:
            client: MultiplexedRedis | None = None
            try:
                async with CallDeadline(ends_at - self._now()) as deadline:
                    deadline.patient = patient
                    client = self._proven_client() or await self.healthy_client(patient=patient)
                    result = await operation(client)
            except RedisError as error:
                failure = self._failure(error, client, deadline)
            else:
                if self.outage.reason is not None and operation is not answer_to_ping:
                    self.outage.good(self._now())
                return result
            failures = failures or Failures(idempotent, patient, self._randomness)
            told_at_once = not patient and (failure.known_outage or self._outage_known())
            left_s = 0.0 if told_at_once else ends_at - self._now()
            await asyncio.sleep(failures.wait_s(failure, wrote=deadline.written > 0, left_s=left_s))

    def _failure(self, error: RedisError, client: MultiplexedRedis | None, deadline: CallDeadline) -> RedisUnavailable:
        """What is known after one attempt. If nothing ran, what still waits must not run after all."""
        failure = self.judge(error, client)
        if isinstance(failure, NotSent) and deadline.written:
            failure = OutcomeUnknown(f"a command of the operation may have run; then: {failure}", failure.reason)
        deadline.withdrawn = not deadline.written
        return failure

    def judge(self, error: RedisError, client: MultiplexedRedis | None) -> RedisUnavailable:
        """What a failure says is known. Raises the error itself if it is about the operation."""
        if client is not None and not client.connected:
            self._discard(client, client.closed_because or "closed")
        if isinstance(error, RedisUnavailable):
            if type(error) is RedisUnavailable and client is not None:  # the operation's own verdict on a reply
                self.outage.failed(self._now(), error.reason or "Redis refuses a call", str(error), refused=True)
            return error
        found, aside = server_state(error), getattr(error, "aside", False)
        if aside and isinstance(error, AuthenticationError):
            self._replace_token()
        if found is not None:
            return self._react(*found, client, aside=aside)
        if isinstance(error, RedisConnectionError | RedisTimeoutError):  # of a side connection
            return NotSent("a side connection to Redis failed")
        raise error

    def _react(
        self, code: str, state: ServerState, client: MultiplexedRedis | None, *, aside: bool
    ) -> RedisUnavailable:
        reason = reason_of_code(code)
        self.outage.failed(self._now(), reason, code, refused=True)
        alone = not (self._of_cluster or isinstance(client, ClusterRedis))
        if state is ServerState.ELSEWHERE and client is self._client and alone:
            self._moved = True  # the next connection looks at the whole cluster
            self._discard(client, "the server belongs to a cluster", answers=True)
            return NotSent(f"the key is elsewhere: {code}", reason)
        if state is ServerState.RECREATE and not aside:
            if code in _LOGIN_REFUSED and client is self._client:
                self._login.doubt()
            self._discard(client, f"the server answered {code}", answers=True)
        if state in (ServerState.FULL, ServerState.REFUSED):
            return RedisUnavailable(f"Redis refuses: {code}", reason)
        return NotSent(f"Redis cannot serve now: {code}", reason)

    def _replace_token(self) -> None:
        """Redis refuses it to a new side connection. The shared one goes on, and nobody waits for another token."""
        if self._credential is not None and "replace" not in self._tasks:
            self._spawn("replace", self._credential.replace())

    def _outage_known(self) -> bool:
        left_s = self.outage.left_s(self._now())
        return left_s is not None and left_s <= 0

    # --- one connection attempt and one PING for everybody who waits --------------------------------------------------
    async def _connected(self, patient: bool) -> MultiplexedRedis:
        outcome = await self._shared("connect", self._connect, patient)
        if isinstance(outcome, RedisUnavailable):  # one for each: an error raised by many collects all their tracebacks
            raise type(outcome)(str(outcome), outcome.reason)
        return outcome

    async def _shared(self, name: str, make: Callable[[], Coroutine[Any, Any, T]], patient: bool) -> T:
        """Await the one running task of this name. It outlives its callers: cancelling any of them cancels nothing.

        Impatient callers get their error as soon as an outage is known.
        """
        task: asyncio.Task[T] = self._tasks.get(name) or self._start(name, make)
        if task.done():  # until the loop turns it stays in its place: a caller in a tight loop would turn nothing else
            await asyncio.sleep(0)
        while not task.done():
            left_s = None if patient else self.outage.left_s(self._now())
            due = self._now() + max(left_s or 0.0, 0.0)
            await asyncio.wait([task], timeout=left_s)
            if task.done() or left_s is None or not self._outage_known():
                continue
            if (late_s := self._now() - due) < HELD_UP_S:
                tls = name == "connect" and (self._url or "").lower().startswith("rediss:")
                reason = self.outage.reason or (NO_TLS if tls else SILENT)
                error = NotSent(f"an outage is known: {reason}", reason)
                error.known_outage = True
                raise error
            self.outage.not_heard(late_s + HELD_UP_S)
        if task.cancelled():
            raise NotSent("the Redis session was closed")
        return task.result()

    def _start(self, name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        self.outage.trying(self._now())
        task = self._spawn(name, make())
        if name == "connect":
            task.add_done_callback(self._go_on)
        return task

    def _spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        tasks = self._tasks
        task = tasks[name] = asyncio.get_running_loop().create_task(
            work,
            name=f"redis {name}",
            context=contextvars.Context(),  # no caller's deadline in it
        )
        task.add_done_callback(lambda _: tasks.pop(name))
        return task

    def _go_on(self, attempt: asyncio.Task[Any]) -> None:
        """After a failed attempt, make the next one, even if nobody waits, until nobody has called for GO_ON_S."""
        if attempt.cancelled() or attempt.exception() is not None or isinstance(attempt.result(), RedisNotConfigured):
            self.outage.trying_since = None
        elif isinstance(attempt.result(), RedisUnavailable) and attempt.get_loop() is self._loop:
            if self._now() - self._called_at < GO_ON_S:
                self._start("connect", self._connect)
            else:
                self.outage.trying_since = None

    async def _connect(self) -> MultiplexedRedis | RedisUnavailable:
        if self._closing:
            await asyncio.wait(self._closing)  # the budget counts one connection, not two
        await asyncio.sleep(self._not_before - self._now())
        used: Credential | None = None
        try:
            client = self._make_client()
            if self._credential is not None:  # outside connect_s: it has a clock of its own
                used = await self._credential.obtain(fresh=self._login.wants_fresh(self._now()))
        except NotSent as error:
            self._not_before = self._now() + self._backoff.next_wait_s()
            self.outage.failed(self._now(), "there is no token for Redis", str(error))
            return NotSent(str(error), "there is no token for Redis")
        except RedisNotConfigured as error:
            self.outage.failed(self._now(), "there is no usable address", str(error))
            return error
        try:
            await client.connect()
            client = await self._whole(client)
        except BaseException as error:
            await self._close(client)
            if not isinstance(error, Exception):
                raise
            return self._not_connected(error)  # any: a credential provider raises errors of its own
        self._client, self._connected_at = client, self._now()
        self._login.taken()
        self.outage.answered(self._connected_at)
        self._keep_authenticated(client, used)
        self.counters.connections_opened += 1
        self._call_hook(self.hooks.on_connect)
        return client

    def _keep_authenticated(self, client: MultiplexedRedis, used: Credential | None) -> None:
        if self._credential is None or used is None or isinstance(client, ClusterRedis):
            return
        if (previous := self._tasks.get("renew")) is not None:
            previous.cancel()
        renewing = self._credential.keep(client, used, partial(self.healthy_client, patient=False))
        self._tasks["renew"] = asyncio.get_running_loop().create_task(renewing, name="redis renew")

    def _not_connected(self, error: Exception) -> RedisUnavailable:
        """What to say, and when to try again: soon and once with a fresh credential, later at a full server."""
        self.counters.connects_failed += 1
        cause = error.__cause__ if isinstance(error, NotSent) and error.__cause__ else error
        text = f"{type(cause).__name__}: {cause}"
        if isinstance(cause, ResponseError):
            text = type(cause).__name__  # a server may quote the arguments of a command
        if isinstance(cause, AuthenticationError):
            self._login.refuse()
        else:
            self._login.taken()
        far = self._login.refused or "max number of clients" in text
        self._not_before = self._now() + (self._backoff.longest_wait_s() if far else self._backoff.next_wait_s())
        reason = reason_not_connected(cause)
        self.outage.failed(self._now(), reason, text)
        if self._login.refused:
            return RedisUnavailable(f"Redis does not take our credentials: {text}", reason)
        return NotSent(f"cannot connect to Redis: {text}", reason)

    async def _ping(self, client: MultiplexedRedis) -> bool:
        if await self._answers(client):
            self.outage.answered(self._now())
            return True
        self.outage.failed(self._now(), SILENT, "a PING was not answered")
        if self._client is client:  # its callers may have left, and the next one should not find an outage that is over
            self._discard(client, "a PING was not answered")
            if "connect" not in self._tasks:
                self._start("connect", self._connect)
        return False

    async def _answers(self, client: MultiplexedRedis) -> bool:
        self.counters.pings += 1
        began, written = self._now(), 0
        for _ in range(2):  # an event loop that somebody's code holds up loses one half only
            deadline = CallDeadline(self.clocks.ping_s / 2)
            try:
                async with deadline:
                    await hear(client)
            except RedisUnavailable:
                written += deadline.written
            except RedisError:
                return False
            else:
                return True
        # behind a slow reply or a large value it waits its turn: then the client's clocks decide
        return client.connected and (client.in_flight > written or client.last_reply_at >= began)

    def _discard(self, client: MultiplexedRedis | None, reason: str, *, answers: bool = False) -> None:
        """Drop this client, unless another caller has already replaced it, and close it in a task of its own.

        `answers`: the server still does, so what is in flight gets its reply first.
        """
        if client is None or self._client is not client:
            return
        self._client = None
        self.outage.trying_since = None  # Redis was there until now: a quick reconnect is no outage
        if self._now() - self._connected_at > SETTLED_S:
            self._backoff.reset()
        self._not_before = self._now() + self._backoff.next_wait_s()
        self.counters.recreates += 1
        self.outage.note(f"Redis session dropped: {reason}")
        self._call_hook(self.hooks.on_recreate, reason)
        closing = asyncio.get_running_loop().create_task(
            self._retire(client, answers),
            name="redis close",
            context=contextvars.Context(),  # no caller's deadline counts its PING
        )
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _retire(self, client: MultiplexedRedis, answers: bool) -> None:
        if answers:
            await self._answers(client)  # replies come in order: once this one is here, so are those before it
        await self._close(client)

    @staticmethod
    async def _close(client: MultiplexedRedis) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await client.aclose()
        except (RedisError, OSError, TimeoutError) as error:
            log.debug("closing a Redis connection: %s", type(error).__name__)

    async def _whole(self, client: MultiplexedRedis) -> MultiplexedRedis:
        """The client itself or, if its server is a node of a cluster, a client of the whole cluster."""
        if self._of_cluster or (client.wire.mode != "cluster" and not self._moved):
            return client
        self._moved = False
        cluster = self._built(ClusterRedis)
        noted = self._note_primaries, self.outage.note, self._randomness
        return await join_cluster(cluster, client, self.clocks, self._new_client, self._of_node, *noted)

    def _of_node(self, make_client: Callable[[], MultiplexedRedis]) -> Self:
        """A session like this one with one node of a cluster."""
        session = copy.copy(self)
        session._of_cluster, session._make_client, session._login = True, make_client, Login()
        session._backoff, session.outage = Backoff(randomness=self._randomness), self.outage.of_a_part()
        session._start_afresh(None)
        return session

    def _note_primaries(self, primaries: int) -> None:
        self.primaries = primaries

    def _new_client(self, at: Place | None = None) -> MultiplexedRedis:
        return self._built(MultiplexedRedis, at)

    def _built(self, kind: type[C], at: Place | None = None) -> C:
        try:
            return kind.from_url(
                self._url or "",
                connect_s=self.clocks.connect_s,
                stall_s=self.clocks.stall_s,
                reply_s=self.clocks.reply_s,
                side_connections=self._connections - 1,
                credential_provider=self._credential,
                at=at,
                client_name=client_name(self._name),
            )
        except (ValueError, RedisError):  # nothing has been sent yet: whatever it is, the address says so
            raise RedisNotConfigured(f"the address of Redis is missing or unusable; expected is {ADDRESS}") from None

    # --- the event loop -----------------------------------------------------------------------------------------------
    def _now(self) -> float:
        return (self._loop or asyncio.get_running_loop()).time()

    def _guard_loop(self) -> None:
        """On another event loop than before, drop what belongs to the old one without touching it.

        In a forked child not even the garbage collector may touch it: sockets and selector are the parent's, too.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._pid != os.getpid():
            _INHERITED.append((self._loop, self._client, self._tasks, self._closing))
        elif self._client is not None:
            self._client.shut_down()
        self._start_afresh(loop)

    @staticmethod
    def _call_hook(hook: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception:
            log.exception("a hook of the Redis session failed")
