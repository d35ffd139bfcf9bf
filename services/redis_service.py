"""The Redis session of one worker process: one client at module scope, proved before use, recreated when it fails.

Built without I/O; connects on first use, on the event loop that runs then. Business code calls `run`, which gives its
operation a total deadline, repeats it when that is safe, and says what is known when it is not. Nothing here knows the
business, and no secret of the URL shows in a repr, a log line or an error.
"""

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from services.backoff import Backoff
from services.errors import BadSetting, NotSent, OutcomeUnknown, Overloaded, RedisUnavailable, Unavailable
from services.server_reply import ServerState, hear, server_state

log = logging.getLogger(__name__)
T = TypeVar("T")
CLOSE_S = 1.0  # a close that takes longer is left to the kernel
SETTLED_S = 5.0  # a session that has lasted this long starts its backoff anew; a shorter one was no recovery
_INHERITED: list[object] = []  # see _guard_loop


@dataclass(frozen=True)
class Clocks:
    """How long the session waits for what, in seconds (design: the defaults table)."""

    ping_s: float = 0.5
    connect_s: float = 5.0
    stall_s: float = 5.0
    idle_check_s: float = 15.0  # 0: a PING before every use


@dataclass
class Hooks:
    """Called on the event loop when something happened; what they raise is logged and goes no further."""

    on_connect: Callable[[], None] = lambda: None
    on_recreate: Callable[[str], None] = lambda reason: None
    on_unavailable: Callable[[RedisUnavailable], None] = lambda error: None


@dataclass
class Counters:
    """What the session has done since the process started."""

    connections_opened: int = 0
    pings: int = 0
    recreates: int = 0
    commands: int = 0
    failures: int = 0
    in_flight: int = 0


@dataclass(eq=False)
class _Attempts:
    """What is known of one `run`: whether an attempt may have run, and why the last one failed."""

    sending: bool = False
    maybe_ran: bool = False
    last: RedisUnavailable = field(default_factory=lambda: NotSent("no connection to Redis within the deadline"))

    def timed_out(self) -> RedisUnavailable:
        if self.sending or self.maybe_ran:
            return OutcomeUnknown("no reply from Redis within the deadline")
        return NotSent(f"not sent within the deadline: {self.last}")

    def given_up(self) -> RedisUnavailable:
        """Why the last attempt failed; but one that did not run says nothing of an earlier one that may have."""
        if self.maybe_ran and not isinstance(self.last, OutcomeUnknown):
            return OutcomeUnknown(f"an earlier attempt may have run; the last one: {self.last}")
        return self.last


class RedisService:
    """One Redis client for every caller of this process.

    Args:
        url: `redis://` or `rediss://` address; None makes every call raise BadSetting.
        connections: upper bound of the connections this process opens to Redis; the connection budget counts it.
        clocks: deadlines of the session itself.
        randomness: for the jitter between connection attempts.
    """

    def __init__(
        self,
        url: str | None,
        *,
        connections: int = 1,
        clocks: Clocks | None = None,
        hooks: Hooks | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self.clocks, self.hooks, self.counters = clocks or Clocks(), hooks or Hooks(), Counters()
        self._url, self._connections = url, connections
        self._backoff, self._randomness = Backoff(randomness=randomness), randomness
        self._refusals = 0  # connection attempts in a row whose credentials Redis did not take
        self._start_afresh(None)

    def _start_afresh(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop, self._pid = loop, os.getpid()
        self._client: Redis | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._owed: set[_Attempts] = set()  # whose reply is awaited
        self._connected_at = self._proved_at = self._owed_since = self._not_before = float("-inf")

    def __repr__(self) -> str:
        return f"<RedisService {'connected' if self._client else 'not connected'}, {self.counters.in_flight} in flight>"

    async def run(self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float) -> T:
        """Run one operation on a healthy client, within `within_s` seconds in all.

        It is repeated after every failure that left nothing done, and after an unknown outcome only if `idempotent`.
        One command, script or pipeline: of several, the first may have run when another was not sent.

        Raises:
            NotSent: it did not run. Overloaded: nor would it if repeated now.
            OutcomeUnknown: it may have run.
            RedisUnavailable: Redis refuses it for a reason of its own (out of memory, wrong credentials).
            redis.exceptions.RedisError: the operation itself is wrong (its own error reply).
            BadSetting: there is no usable address.
        Whatever else the operation raises passes unchanged, a TimeoutError of its own too.
        """
        self.counters.commands += 1
        self.counters.in_flight += 1
        attempts = _Attempts()
        try:
            async with asyncio.timeout(within_s) as deadline:
                return await self._repeat(operation, idempotent, attempts)
        except TimeoutError:
            if not deadline.expired():
                raise
            error = attempts.timed_out()
        except RedisUnavailable as unavailable:
            error = unavailable
        finally:
            self.counters.in_flight -= 1
            self._owed.discard(attempts)
        self.counters.failures += 1
        self._call_hook(lambda: self.hooks.on_unavailable(error))
        raise error

    async def client(self) -> Redis:
        """A healthy client: at once while replies keep coming, after a PING when idle, after a recreate if that fails.

        Bounded by the session's own clocks. Raises NotSent when a connection attempt has failed, BadSetting, or
        RedisUnavailable when Redis does not take our credentials.
        """
        self._guard_loop()
        client = self._client
        if client is None:
            return await self._connected()
        if self._now() - self._proved_at < self.clocks.idle_check_s:
            return client
        if await self._shared("ping", lambda: self._answers(client)):
            return client
        self._discard(client, "a PING was not answered")
        return self._client or await self._connected()

    async def ping(self, within_s: float) -> None:
        """Prove the whole way to Redis and back, within `within_s` seconds. Raises as `run` does."""
        await self.run(Redis.ping, idempotent=True, within_s=within_s)

    async def aclose(self) -> None:
        """Close the session and end its tasks. A later call opens it again, and so does one in progress."""
        self._guard_loop()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._closing, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            await self._close(client)

    async def _repeat(self, operation: Callable[[Redis], Awaitable[T]], idempotent: bool, attempts: _Attempts) -> T:
        backoff = Backoff(randomness=self._randomness)
        while True:
            client: Redis | None = None
            try:
                client = await self.client()
                attempts.sending = True
                self._owed_since = self._owed_since if self._owed else self._now()
                self._owed.add(attempts)
                result = await operation(client)
            except (RedisUnavailable, RedisError) as error:
                attempts.last = self._judge(error, client)
            else:
                self._heard_from(client)
                return result
            attempts.sending = False
            self._owed.discard(attempts)
            attempts.maybe_ran |= isinstance(attempts.last, OutcomeUnknown)
            if not self._may_repeat(attempts.last, idempotent):
                raise attempts.given_up()
            await asyncio.sleep(backoff.next_wait_s())

    def _heard_from(self, client: Redis | None) -> None:
        """A reply proves the client that brought it, not one that has taken its place."""
        if client is self._client:
            self._proved_at = self._now()

    @staticmethod
    def _may_repeat(error: RedisUnavailable, idempotent: bool) -> bool:
        safe = isinstance(error, NotSent) and not isinstance(error, Overloaded)
        return safe or (idempotent and isinstance(error, OutcomeUnknown))

    def _judge(self, error: RedisUnavailable | RedisError, client: Redis | None) -> RedisUnavailable:
        """What a failure says is known. Raises the error itself if it is about the operation."""
        if isinstance(error, RedisUnavailable):
            if not isinstance(error, Overloaded):
                self._discard(client, f"the client is of no more use: {type(error).__name__}")
            return error
        found = server_state(error)
        if found is not None:
            return self._react(*found, client)
        if isinstance(error, RedisConnectionError | RedisTimeoutError):
            self._discard(client, f"the connection failed: {type(error).__name__}")
            return OutcomeUnknown("the connection to Redis failed before the reply")
        if isinstance(error, ResponseError):
            self._heard_from(client)
        raise error

    def _react(self, code: str, state: ServerState, client: Redis | None) -> RedisUnavailable:
        if state is ServerState.RECREATE:
            self._discard(client, f"the server answered {code}")
        else:
            self._heard_from(client)
        if state is ServerState.FULL:
            return RedisUnavailable(f"Redis refuses writes: {code}")
        return NotSent(f"Redis cannot serve now: {code}")

    # -- one connection attempt, one PING, for everybody who waits ---------------------------------------------------
    async def _connected(self) -> Redis:
        outcome = await self._shared("connect", self._connect)
        if isinstance(outcome, Unavailable):
            raise type(outcome)(str(outcome))  # one for each: an error raised by many collects all their tracebacks
        return outcome

    async def _shared(self, name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await the one running task of this name. It outlives its callers: cancelling any of them cancels nothing."""
        tasks = self._tasks
        task: asyncio.Task[T] | None = tasks.get(name)
        if task is None:
            task = tasks[name] = asyncio.get_running_loop().create_task(make(), name=f"redis {name}")
            task.add_done_callback(lambda _: tasks.pop(name))
        await asyncio.wait([task])
        if task.cancelled():
            raise NotSent("the Redis session was closed")
        return task.result()

    async def _connect(self) -> Redis | Unavailable:
        await asyncio.sleep(self._not_before - self._now())
        try:
            client = self._new_client()
        except BadSetting as error:
            return error
        try:
            async with asyncio.timeout(self.clocks.connect_s):
                await hear(client)
        except BaseException as error:
            await self._close(client)
            if not isinstance(error, Exception):
                raise
            return self._not_connected(error)  # a credential provider raises errors of its own, so any
        self._client, self._refusals = client, 0
        self._connected_at = self._proved_at = self._now()
        self.counters.connections_opened += 1
        self._call_hook(self.hooks.on_connect)
        return client

    def _not_connected(self, error: Exception) -> RedisUnavailable:
        """What to say, and when to try again: with a fresh credential once and soon, at a full server not soon."""
        cause = (isinstance(error, NotSent) and error.__cause__) or error
        text = f"{type(cause).__name__}: {cause}"
        if isinstance(cause, ResponseError):
            text = type(cause).__name__  # an old server quotes the arguments of a HELLO that it does not know
        self._refusals = self._refusals + 1 if isinstance(cause, AuthenticationError) else 0
        far = self._refusals > 1 or "max number of clients" in text
        self._not_before = self._now() + (self._backoff.longest_wait_s() if far else self._backoff.next_wait_s())
        if self._refusals > 1:
            return RedisUnavailable(f"Redis does not take our credentials: {text}")
        return NotSent(f"cannot connect to Redis: {text}")

    async def _answers(self, client: Redis) -> bool:
        self.counters.pings += 1
        try:
            async with asyncio.timeout(self.clocks.ping_s):
                await hear(client)
        except TimeoutError:
            # The PING may be waiting its turn behind a slow reply: then silence is judged by its own clock.
            quiet_since = max(self._proved_at, self._owed_since)
            return bool(self._owed) and self._now() - quiet_since < self.clocks.stall_s
        except Exception:  # noqa: BLE001 - as above
            return False
        self._heard_from(client)
        return True

    def _discard(self, client: Redis | None, reason: str) -> None:
        """Drop this client, unless another caller has already replaced it, and close it behind everybody's back."""
        if client is None or self._client is not client:
            return
        self._client = None
        if self._now() - self._connected_at > SETTLED_S:
            self._backoff.reset()
        self._not_before = self._now() + self._backoff.next_wait_s()
        self.counters.recreates += 1
        log.warning("Redis session dropped: %s", reason)
        self._call_hook(lambda: self.hooks.on_recreate(reason))
        closing = asyncio.get_running_loop().create_task(self._close(client), name="redis close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    @staticmethod
    async def _close(client: Redis) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await client.aclose()
        except (RedisError, OSError, TimeoutError) as error:
            log.debug("closing a Redis connection: %s", type(error).__name__)

    def _new_client(self) -> Redis:
        """A client of at most `connections` connections; redis-py's own retries would repeat writes and hammer."""
        try:
            pool = _Pool.from_url(
                self._url or "",
                max_connections=self._connections,
                timeout=None,  # the caller's deadline bounds the wait
                socket_timeout=self.clocks.stall_s,
                socket_connect_timeout=self.clocks.connect_s,
                socket_keepalive=True,
                retry=Retry(NoBackoff(), 0),
                maint_notifications_config=MaintNotificationsConfig(enabled=False),  # else it hides closed connections
                driver_info=None,  # one round trip less per connect
            )
        except ValueError:
            raise BadSetting("REDIS_URL is missing or unusable") from None
        return Redis.from_pool(pool)

    # -- the event loop ----------------------------------------------------------------------------------------------
    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _guard_loop(self) -> None:
        """On another event loop than before, drop what belongs to the old one without touching it.

        In a forked child not even the collector may touch it: the sockets and the selector are the parent's too.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._pid != os.getpid():
            _INHERITED.append((self._loop, self._client, self._tasks, self._closing))
        self._start_afresh(loop)

    @staticmethod
    def _call_hook(hook: Callable[[], None]) -> None:
        try:
            hook()
        except Exception:
            log.exception("a hook of the Redis session failed")


class _Pool(BlockingConnectionPool):
    """redis-py's pool, saying what is known: a command that got no connection was not sent; once closed it stays so."""

    _closed = False

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if not self._closed:
            try:
                await super().ensure_connection(connection)
            except RedisError as error:
                raise NotSent(f"no connection to Redis: {type(error).__name__}") from error
        if self._closed:  # before, or while it connected
            raise NotSent("the connection to Redis was replaced")

    async def release(self, connection: AbstractConnection) -> None:
        """Whatever happens to the caller: a connection that is not given back is missing for ever."""
        if self._closed:
            await connection.disconnect(nowait=True)
        await asyncio.shield(super().release(connection))

    async def aclose(self) -> None:
        self._closed = True
        await super().aclose()
