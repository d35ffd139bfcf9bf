"""`MultiplexedRedis`: the whole command API of redis-py over one connection that all callers of an event loop share.

It never reconnects, never repeats a command and never pings: whoever owns it does, and replaces it when it is dead.
To lift it into another app, take every module of services/ that it imports, and theirs, along.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

from hiredis import Reader, pack_command
from redis._parsers.hiredis import _AsyncHiredisParser
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Monitor, PubSub
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from .call_deadline import current_deadline
from .command_plan import CommandPlan, Need, command_plan
from .errors import NeedsOwnConnection, NotSent, Overloaded
from .pipeline import MultiplexedPipeline
from .reply_stream import PIECE, Call, Packed, ReplyStream, StreamCounters, StreamLimits, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN_OPTIONS = ("connect_s", "stall_s", "reply_s", "backlog_calls", "backlog_bytes", "side_connections")


def _connection_options(connect_s: float) -> dict[str, Any]:
    """What every connection is made with, whatever the caller or the URL says.

    No retries (redis-py's repeat a write that was in flight), no maintenance notifications (they hide unread replies),
    no CLIENT SETINFO (a round trip per connect), no health checks (they would read the shared stream).
    """
    return {
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "driver_info": None,
        "health_check_interval": 0,
        "socket_connect_timeout": connect_s,
    }


def _keepalive(user_timeout_s: float) -> dict[int, int]:
    """Kernel options, where they exist. TCP_USER_TIMEOUT (ms) never ends a connection before our own clocks do."""
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": int(user_timeout_s * 1000)}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


class SidePool(BlockingConnectionPool):
    """At most `size` connections, opened on demand, for what can't share one; waiting for one is bounded. None at 0."""

    def __init__(self, size: int, wait_s: float, **options: Any) -> None:
        super().__init__(max_connections=max(size, 1), timeout=wait_s, **options)
        self.size = size

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> AbstractConnection:
        """A connection for the caller alone. Raises NeedsOwnConnection at size 0, Overloaded if all stay in use."""
        if not self.size:
            raise NeedsOwnConnection("this needs a connection of its own, and the client has no side connections")
        try:
            return await super().get_connection()  # type: ignore[no-untyped-call, no-any-return] # redis-py's
        except RedisConnectionError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise Overloaded(f"all {self.size} side connections stayed in use for {self.timeout} s") from error
            raise


class MultiplexedRedis(Redis):
    """`redis.asyncio.Redis` over one connection: same methods, same results, same exceptions for error replies.

    Seconds: `connect_s` bounds `connect()`, `stall_s` and `reply_s` are the connection's own clocks. `backlog_calls`
    and `backlog_bytes` bound what waits, `side_connections` how many more connections blocking commands, transactions,
    pub/sub and MONITOR may open; at 0 these raise `NeedsOwnConnection`. All other keywords are redis-py's.

    A call raises `NotSent`, `OutcomeUnknown` or `Overloaded` (services/errors.py) where redis-py raises ConnectionError
    or TimeoutError. A cancelled call raises CancelledError and disturbs nobody; `CallDeadline` tells whether it had
    been written. Once `connected` has turned False it stays so: make a new client.
    """

    def __init__(
        self,
        *,
        connect_s: float = 5.0,
        stall_s: float = 5.0,
        reply_s: float = 30.0,
        backlog_calls: int = 5000,
        backlog_bytes: int = 64 * 1024 * 1024,
        side_connections: int = 0,
        connection_pool: ConnectionPool | None = None,
        **options: Any,
    ) -> None:
        fixed = _connection_options(connect_s)
        if connection_pool is None:
            options |= fixed
        super().__init__(connection_pool=connection_pool, **options)
        template = self.connection_pool  # says how to connect and is never asked for a connection
        kwargs = {**template.connection_kwargs, **fixed}
        if issubclass(template.connection_class, Connection):
            given: Mapping[int, int] | object = kwargs.get("socket_keepalive_options")
            kwargs["socket_keepalive_options"] = {
                **_keepalive(max(stall_s, reply_s)),
                **(given if isinstance(given, dict) else {}),
            }
        kwargs["connection_class"] = template.connection_class
        self.connection_pool: SidePool = SidePool(side_connections, connect_s, **kwargs)
        self.auto_close_connection_pool = True
        self.connect_s = connect_s
        self._limits = StreamLimits(stall_s, reply_s, backlog_calls, backlog_bytes)
        self._connecting = False
        self._connection: AbstractConnection | None = None
        self._stream: ReplyStream | None = None
        self._packer: AbstractConnection = self.connection_pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's
        encoder = self._packer.encoder
        self._packs_fast = (encoder.encoding, encoder.encoding_errors) == ("utf-8", "strict")  # as hiredis packs

    @classmethod
    def from_url(cls, url: str, *args: Any, **options: Any) -> MultiplexedRedis:
        """As redis-py's, plus the keywords of this class. Raises ValueError, which never shows the URL."""
        own = {name: options.pop(name) for name in _OWN_OPTIONS if name in options}
        options |= _connection_options(own.get("connect_s", 5.0))
        try:
            template = ConnectionPool.from_url(url, **options)
        except ValueError:  # urllib quotes what it could not read, which may be a part of the password
            raise ValueError(
                "the Redis URL can't be read: rediss://[[user]:[password]@]host[:port][/db], special characters in the "
                "password percent-encoded"
            ) from None
        return cls(connection_pool=template, **own)

    # --- life -------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the connection, within `connect_s`; if that fails or is cancelled, nothing is left open.

        Raises what redis-py raises: ConnectionError (also for a full server), AuthenticationError, TimeoutError.
        """
        if self._stream is not None or self._connecting:
            raise RuntimeError("connect() is for a new client; make another one")
        self._connecting = True
        connection: AbstractConnection = self.connection_pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's
        opened: list[asyncio.WriteTransport] = []

        async def greet(connection: AbstractConnection) -> None:
            opened.append(cast("asyncio.StreamWriter", connection._writer).transport)
            await connection.on_connect()

        connection.redis_connect_func = greet
        try:
            async with asyncio.timeout(self.connect_s):
                await connection.connect()  # type: ignore[no-untyped-call] # redis-py's
            self._stream = _take_over(connection, opened[0], self._limits)
        except BaseException as error:
            for transport in opened:
                transport.abort()
            connection._reader = connection._writer = None
            if isinstance(error, TimeoutError):
                raise RedisTimeoutError(f"no connection to Redis within {self.connect_s:g} s") from error
            raise
        finally:
            self._connecting = False
        self._connection = connection

    async def initialize(self) -> MultiplexedRedis:
        """`await client` and `async with client` connect it."""
        if self._stream is None:
            await self.connect()
        return self

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connection and the side connections; calls in flight fail. Idempotent.

        From another event loop than the one it connected on, it only ends the TCP connection and touches nothing else:
        side connections that are open then end with their objects.
        """
        if self._stream is not None and self._stream.is_foreign():
            self._stream.shut_down()
            return
        if self._stream is not None and self._connection is not None:
            await self._stream.aclose("the client was closed")
            self._connection._reader = self._connection._writer = None
        await self.connection_pool.aclose()

    @property
    def connected(self) -> bool:
        """Whether calls can be made; once False after a connect, it stays so."""
        return self._stream is not None and self._stream.closed_because is None

    @property
    def closed_because(self) -> str | None:
        """Why the connection is closed, for people; None while it is open."""
        return "it was never connected" if self._stream is None else self._stream.closed_because

    @property
    def last_reply_at(self) -> float:
        """loop.time() when the last byte arrived; -inf before connect()."""
        return float("-inf") if self._stream is None else self._stream.last_reply_at

    @property
    def in_flight(self) -> int:
        """Calls written and not answered, abandoned ones included."""
        return 0 if self._stream is None else self._stream.in_flight

    @property
    def backlog_calls(self) -> int:
        """Calls waiting or in flight, abandoned ones included."""
        return 0 if self._stream is None else self._stream.backlog_calls

    @property
    def backlog_bytes(self) -> int:
        """Packed bytes not yet given to the transport."""
        return 0 if self._stream is None else self._stream.backlog_bytes

    @property
    def counters(self) -> StreamCounters:
        """What happened on the connection so far."""
        return StreamCounters() if self._stream is None else self._stream.counters

    def __repr__(self) -> str:
        state = "connected" if self.connected else f"closed: {self.closed_because}"
        return f"<{type(self).__name__} {self._packer._host_error()} {state}, {self.in_flight} in flight>"

    # --- calls ------------------------------------------------------------------------------------

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its parsed reply. Every method of the command API ends here."""
        plan = command_plan(args[0])
        if plan.need is not None and (need := plan.need(plan.split(args))) is not None:
            self.check_side_connection(args[0], need)
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # redis-py's
        return await self.result(self._send(args, plan, options), plan, options)

    async def reauthenticate(self, username: str | None, password: str) -> None:
        """AUTH in the stream. An error reply (AuthenticationError, ResponseError) closes nothing."""
        args = ("AUTH", password) if username is None else ("AUTH", username, password)
        plan = command_plan("AUTH")
        await self.result(self._send(args, plan, {}), plan, {})

    def _send(self, args: tuple[Any, ...], plan: CommandPlan, options: dict[str, Any]) -> Call:
        stream = self._stream or self.stream()
        return stream.send(self.pack(args, plan), NEVER_DECODE in options)

    async def result(self, call: Call, plan: CommandPlan, options: dict[str, Any]) -> Any:
        """The reply of a call through its response callback, as redis-py's parse_response does it."""
        try:
            reply = await call
        except BaseException as error:
            self.stream().ended([call], error)
            if EMPTY_RESPONSE in options and isinstance(error, ResponseError):
                return options[EMPTY_RESPONSE]
            raise
        if (deadline := current_deadline()) is not None:
            deadline.written += 1
        callback = self.response_callbacks.get(plan.key)
        if callback is None:
            return reply
        for name in _NOT_FOR_CALLBACKS:
            options.pop(name, None)
        result = callback(reply, **options)
        return await result if hasattr(result, "__await__") else result

    async def answered(self, calls: list[Call]) -> None:
        """Wait until all of a batch have ended: as replies come in order, until the last one has."""
        try:
            await asyncio.wait(calls[-1:])
        except asyncio.CancelledError as error:
            self.stream().ended(calls, error)
            raise
        for call in calls:
            call.exception()  # marks a failure as seen, whether or not its turn to be raised comes

    def stream(self) -> ReplyStream:
        """The open connection. Raises NotSent before connect()."""
        if self._stream is None:
            raise NotSent("the client is not connected: await client.connect() first")
        return self._stream

    def pack(self, args: tuple[Any, ...], plan: CommandPlan) -> Packed:
        """The command on the wire: bytes, or a list of them if they are more than a piece. Raises DataError."""
        words = plan.split(args)
        if self._packs_fast:
            for argument in words:
                kind = type(argument)
                if kind is str or kind is bytes:
                    if len(argument) > PIECE // 4:
                        break
                elif kind is not int and kind is not float:
                    break
            else:
                packed: bytes = pack_command(words)
                if len(packed) <= PIECE:
                    return packed
                return [packed]
        # redis-py's own packer knows the rest; bytes(): the caller may change a buffer before it is written
        views = [bytes(word) if isinstance(word, (bytearray, memoryview)) else word for word in words]
        chunks: list[bytes] = self._packer.pack_command(*views)
        return chunks if size_of(chunks) > PIECE else b"".join(chunks)

    # --- what needs a connection of its own -------------------------------------------------------

    def check_side_connection(self, what: Any, need: Need = Need.BLOCKS) -> None:
        """Raise NeedsOwnConnection unless a side connection may serve it."""
        if need is Need.BLOCKS and self.connection_pool.size:
            return
        name = what.decode(errors="replace") if isinstance(what, bytes) else what
        advice = "use a redis.asyncio.Redis of your own for it"
        if need is Need.BLOCKS:
            advice = "allow side connections (they count in the connection budget), or " + advice
        raise NeedsOwnConnection(f"{name} {need.value} the connection that every caller shares: {advice}")

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> MultiplexedPipeline:
        """A batch. Without MULTI/EXEC it shares the connection; with, which is the default, it needs a side one."""
        if transaction:
            self.check_side_connection("pipeline(transaction=True)")
        return MultiplexedPipeline(self, transaction, shard_hint)

    def pubsub(self, **options: Any) -> PubSub:
        """Needs a side connection."""
        self.check_side_connection("pubsub()")
        return super().pubsub(**options)

    def monitor(self) -> Monitor:
        """Needs a side connection."""
        self.check_side_connection("monitor()")
        return super().monitor()

    def client(self) -> Redis:
        """A plain redis-py client on one side connection."""
        self.check_side_connection("client()")
        return Redis(connection_pool=self.connection_pool, single_connection_client=True)


_NOT_FOR_CALLBACKS = (NEVER_DECODE, EMPTY_RESPONSE, "keys")  # for redis-py itself and its cache


def _take_over(connection: AbstractConnection, transport: asyncio.WriteTransport, limits: StreamLimits) -> ReplyStream:
    """Put a ReplyStream in the place of redis-py's reader. No await in here: no byte may arrive meanwhile.

    redis-py's own hiredis reader moves along, with its decoding, its exception classes and any bytes it holds.
    """
    parser = connection._parser
    if not isinstance(parser, _AsyncHiredisParser):
        raise RedisConnectionError("MultiplexedRedis needs hiredis: pip install redis[hiredis]")
    buffered = bytes(cast("Any", connection._reader)._buffer)
    stream = ReplyStream(cast("asyncio.Transport", transport), cast("Reader", parser._reader), limits)
    stream.take_over(buffered)
    return stream
