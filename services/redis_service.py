"""The Redis session of one worker process: one client at module scope, proved before use, recreated when it fails.

Built without I/O; connects on first use, on the event loop that runs then. Business code calls `run`, which gives its
operation a total deadline, repeats it when that is safe, and says what is known when it is not. Nothing here knows the
business, and no secret of the URL shows in a repr, a log line or an error.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from services.backoff import Backoff
from services.errors import BadSetting, NotSent, OutcomeUnknown, Overloaded, RedisUnavailable
from services.server_reply import ServerState, server_state

log = logging.getLogger(__name__)
T = TypeVar("T")
CLOSE_S = 1.0  # a close that takes longer is left to the kernel
SETTLED_S = 5.0  # a session that has lasted this long starts its backoff anew; a shorter one was no recovery


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


@dataclass
class _Attempts:
    """What is known of one `run`: whether an attempt may have run, and why the last one failed."""

    sending: bool = False
    maybe_ran: bool = False
    last: RedisUnavailable = field(default_factory=lambda: NotSent("no connection to Redis within the deadline"))

    def timed_out(self) -> RedisUnavailable:
        if self.sending or self.maybe_ran:
            return OutcomeUnknown("no reply from Redis within the deadline")
        return NotSent(f"not sent within the deadline: {self.last}")


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
        self._backoff = Backoff(randomness=randomness)
        self._randomness = randomness
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Redis | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._connected_at = self._proved_at = self._not_before = float("-inf")

    def __repr__(self) -> str:
        address = urlsplit(self._url or "")
        state = "connected" if self._client else "not connected"
        return f"<RedisService {address.hostname}:{address.port} {state}, {self.counters.in_flight} in flight>"

    async def run(self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float) -> T:
        """Run one operation on a healthy client, within `within_s` seconds in all.

        It is repeated after every failure that left nothing done, and after an unknown outcome only if `idempotent`.

        Raises:
            NotSent: it did not run. Overloaded: nor would it if repeated now.
            OutcomeUnknown: it may have run.
            RedisUnavailable: Redis refuses it for a reason of its own (out of memory).
            redis.exceptions.RedisError: the operation itself is wrong (its own error reply).
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
            raise self._failed(attempts.timed_out()) from attempts.last
        except RedisUnavailable as error:
            self._failed(error)
            raise
        finally:
            self.counters.in_flight -= 1

    async def client(self) -> Redis:
        """A healthy client: at once while replies keep coming, after a PING when idle, after a recreate if that fails.

        Raises NotSent when a connection attempt has failed; bounded by the session's own clocks.
        """
        self._guard_loop()
        client = self._client
        if client is None:
            return await self._shared("connect", self._connect)
        if self._now() - self._proved_at < self.clocks.idle_check_s:
            return client
        if await self._shared("ping", lambda: self._answers(client)):
            return client
        self._discard(client, "a PING was not answered")
        return await self._shared("connect", self._connect)

    async def ping(self, within_s: float) -> None:
        """Prove the whole way to Redis and back, within `within_s` seconds. Raises as `run` does."""

        async def ping(client: Redis) -> None:
            await client.ping()

        await self.run(ping, idempotent=True, within_s=within_s)

    async def aclose(self) -> None:
        """Close the session and end its tasks; a later call opens it again. Never needed for correctness."""
        self._guard_loop()
        tasks = [*self._tasks.values(), *self._closing]
        client, self._client = self._client, None
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if client is not None:
            await self._close(client)
        self._tasks.clear()

    async def _repeat(self, operation: Callable[[Redis], Awaitable[T]], idempotent: bool, attempts: _Attempts) -> T:
        backoff = Backoff(randomness=self._randomness)
        while True:
            client: Redis | None = None
            try:
                client = await self.client()
                attempts.sending = True
                result = await operation(client)
            except (RedisUnavailable, RedisError) as error:
                attempts.last = self._judge(error, client)
            else:
                self._proved_at = self._now()
                return result
            attempts.sending = False
            attempts.maybe_ran |= isinstance(attempts.last, OutcomeUnknown)
            if not self._may_repeat(attempts.last, idempotent):
                raise attempts.last
            await asyncio.sleep(backoff.next_wait_s())

    @staticmethod
    def _may_repeat(error: RedisUnavailable, idempotent: bool) -> bool:
        if isinstance(error, Overloaded):
            return False
        return isinstance(error, NotSent) or (isinstance(error, OutcomeUnknown) and idempotent)

    def _judge(self, error: RedisUnavailable | RedisError, client: Redis | None) -> RedisUnavailable:
        """What a failure says is known. Raises the error itself if it is about the operation."""
        if isinstance(error, RedisUnavailable):
            return error
        found = server_state(error)
        if found is not None:
            return self._react(*found, client)
        if isinstance(error, RedisConnectionError | RedisTimeoutError):
            self._discard(client, f"the connection failed: {type(error).__name__}")
            return OutcomeUnknown("the connection to Redis failed before the reply")
        self._proved_at = self._now()  # an error reply is a reply
        raise error

    def _react(self, code: str, state: ServerState, client: Redis | None) -> RedisUnavailable:
        if state is ServerState.RECREATE:
            self._discard(client, f"the server answered {code}")
        if state is ServerState.FULL:
            return RedisUnavailable(f"Redis refuses writes: {code}")
        return NotSent(f"Redis cannot serve now: {code}")

    def _failed(self, error: RedisUnavailable) -> RedisUnavailable:
        self.counters.failures += 1
        self._call_hook(lambda: self.hooks.on_unavailable(error))
        return error

    # -- one connection attempt, one PING, for everybody who waits ---------------------------------------------------
    async def _shared(self, name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await the one running task of this name. It outlives its callers: cancelling any of them cancels nothing."""
        task: asyncio.Task[T] | None = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.get_running_loop().create_task(make(), name=f"redis {name}")
            task.add_done_callback(lambda done: self._forget(name, done))
        return await asyncio.shield(task)

    def _forget(self, name: str, task: asyncio.Task[Any]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled():
            task.exception()  # every waiter may be gone: an unread exception would be logged as a leak

    async def _connect(self) -> Redis:
        await asyncio.sleep(self._not_before - self._now())
        client = self._new_client()
        try:
            async with asyncio.timeout(self.clocks.connect_s):
                await client.ping()
        except (RedisError, OSError, TimeoutError) as error:
            await self._close(client)
            full = "max number of clients" in str(error)
            self._not_before = self._now() + (self._backoff.longest_wait_s() if full else self._backoff.next_wait_s())
            raise NotSent(f"cannot connect to Redis: {type(error).__name__}: {error}") from error
        except BaseException:
            await self._close(client)
            raise
        self._client = client
        self._connected_at = self._proved_at = self._now()
        self.counters.connections_opened += 1
        self._call_hook(self.hooks.on_connect)
        return client

    async def _answers(self, client: Redis) -> bool:
        self.counters.pings += 1
        try:
            async with asyncio.timeout(self.clocks.ping_s):
                await client.ping()
        except (RedisError, RedisUnavailable, OSError, TimeoutError):
            return False
        self._proved_at = self._now()
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
        if self._url is None:
            raise BadSetting("REDIS_URL is missing or unusable")
        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._connections,
            timeout=None,  # the caller's deadline bounds the wait
            socket_timeout=self.clocks.stall_s,
            socket_connect_timeout=self.clocks.connect_s,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),  # else it hides closed connections
            driver_info=None,  # one round trip less per connect
        )
        return Redis.from_pool(pool)

    # -- the event loop ----------------------------------------------------------------------------------------------
    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _guard_loop(self) -> None:
        """On another event loop than before, drop what belongs to the old one without touching it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._client, self._tasks, self._closing = loop, None, {}, set()
            self._connected_at = self._proved_at = self._not_before = float("-inf")

    @staticmethod
    def _call_hook(hook: Callable[[], None]) -> None:
        try:
            hook()
        except Exception:
            log.exception("a hook of the Redis session failed")
