"""`MultiplexedRedis`: the whole command API of redis-py over one connection that all callers of an event loop share.

It does not reconnect, repeat a command or ping. Its owner does, and replaces it when it is dead.
"""

from __future__ import annotations

import inspect
import re
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from redis import __version__ as redis_py_version
from redis.asyncio import Redis
from redis.asyncio.client import Monitor, PubSub
from redis.asyncio.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)

from .command_plan import CommandPlan, Need, command_plan
from .errors import NeedsOwnConnection, OutcomeUnknown
from .pipeline import MultiplexedPipeline
from .reply_stream import ReplyStream, StreamCounters, StreamLimits
from .side_pool import SideClient, SideConnection, SideMonitor, SidePool
from .topology import Place, name_to_verify
from .wire import Wire

ADDRESS = (  # what is expected, for people
    "rediss://[[user]:[password]@]host[:port][/db], or redis:// without TLS; special characters in the password "
    "percent-encoded, and no password beside a credential; after a ? only protocol, decode_responses, encoding and, "
    "with rediss://, ssl_...: everything else is an argument, such as clocks= or connections="
)
_OPTIONS = frozenset(["db", "protocol", "decode_responses", "encoding", "encoding_errors", "legacy_responses"])
_KINDS = (Connection, SSLConnection, UnixDomainSocketConnection)  # any other might connect elsewhere
_KEYWORDS = inspect.signature(Redis.__init__).parameters.keys()

# No maintenance notifications: they hide unread replies. redis-py's asyncio side knows them since 8.0.
_WITHOUT_MAINTENANCE: dict[str, Any] = {}
if "maint_notifications_config" in inspect.signature(ConnectionPool.__init__).parameters:
    from redis.maint_notifications import MaintNotificationsConfig

    _WITHOUT_MAINTENANCE["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
# What side connections say they are: left to itself, redis-py since 7.2 reads its version from disk for each client.
_DRIVER: dict[str, Any] = {}
if "driver_info" in _KEYWORDS:
    from redis.driver_info import DriverInfo

    _DRIVER["driver_info"] = DriverInfo(lib_version=redis_py_version)


def _keepalive(user_timeout_s: float) -> dict[int, int]:
    """Kernel options, where they exist. TCP_USER_TIMEOUT (ms) ends no connection before our own clocks do."""
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": int(user_timeout_s * 1000)}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _connection_options(pool: ConnectionPool, limits: StreamLimits, connect_s: float) -> dict[str, Any]:
    """What every connection is made with: what the caller or the URL says, and what we always set.

    No retries (redis-py's repeat a write that was in flight) and no health checks (they cost a round trip each).
    """
    kind, hook = pool.connection_class, pool.connection_kwargs.get("redis_connect_func")
    if hook is not None or not (kind in _KINDS or issubclass(kind, SideConnection)):
        raise ValueError(
            "redis_connect_func, Redis Sentinel and connection classes other than redis-py's cannot be used: "
            "the session opens its connection itself"
        )
    options = {
        **pool.connection_kwargs,
        **_WITHOUT_MAINTENANCE,
        "connection_class": kind,
        "retry": None,
        "retry_on_error": [],
        "retry_on_timeout": False,
        "health_check_interval": 0,
        "socket_connect_timeout": connect_s,
    }
    if issubclass(kind, Connection):
        given = options.get("socket_keepalive_options")
        ours = _keepalive(max(limits.stall_s, limits.reply_s))
        options["socket_keepalive_options"] = {**ours, **(given if isinstance(given, dict) else {})}
    return options


class MultiplexedRedis(Redis):
    """`redis.asyncio.Redis` over one connection: same methods, same results, same exceptions for error replies.

    Seconds: `connect_s` bounds `connect()`, `stall_s` and `reply_s` are the connection's own clocks. `backlog_calls`
    and `backlog_bytes` bound what waits, `side_connections` how many more connections blocking commands, transactions,
    pub/sub and MONITOR may open (without clocks); at 0 they raise `NeedsOwnConnection`. Other keywords are redis-py's;
    `socket_timeout` is for side connections only.

    A call raises `NotSent`, `OutcomeUnknown` or `Overloaded` (errors.py) where redis-py raises ConnectionError
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
        at: Place | None = None,
        connection_pool: ConnectionPool | None = None,
        **options: Any,
    ) -> None:
        tls_name = None
        if at is not None:
            tls_name = name_to_verify(options.get("host", "localhost"), at)
            options = {**options, "unix_socket_path": None, "host": at.host, "port": at.port}
        # Its pool is never asked for a connection. redis-py 8's socket_timeout of 5 s would end what blocks for longer.
        options = {**_DRIVER, "socket_timeout": None, **options, "retry": None}
        super().__init__(connection_pool=connection_pool, **options)
        limits = StreamLimits(stall_s, reply_s, backlog_calls, backlog_bytes)
        options = _connection_options(self.connection_pool, limits, connect_s)
        self.connection_pool: SidePool = SidePool(side_connections, connect_s, **options)
        self.auto_close_connection_pool = True
        self.connect_s = connect_s
        how = self.connection_pool.make_connection()
        self.wire = Wire(how, self.response_callbacks, limits, tls_name)

    @classmethod
    def from_url(cls, url: str, *_: Any, **options: Any) -> Self:
        """As redis-py's, plus the keywords of this class. Raises ValueError, which never shows the URL."""
        try:
            said = _options_of(url)
        except ValueError:  # urllib quotes what it could not read, which may be a part of the password
            raise ValueError(f"the Redis URL can't be read: {ADDRESS}") from None
        return cls(**{**options, **said})

    # --- life ---------------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the connection, within `connect_s`; if that fails or is cancelled, nothing is left open.

        Raises what redis-py raises: ConnectionError (also for a full server), AuthenticationError, TimeoutError.
        """
        await self.wire.open(self.connect_s)

    async def initialize(self) -> MultiplexedRedis:
        """`await client` and `async with client` connect it."""
        if self.wire.opened is None:
            await self.connect()
        return self

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connection and the side connections; calls in flight fail. Idempotent.

        From another event loop than the one it connected on, it only ends the TCP connection and touches nothing else:
        side connections that are open then end with their objects.
        """
        stream = self.wire.opened
        if stream is not None and stream.is_foreign():
            stream.shut_down()
            return
        self.connection_pool.closed = True  # before anything is awaited: nobody writes on what is about to close
        if stream is not None:
            await stream.aclose("the client was closed; make a new one")
        await self.connection_pool.aclose()

    def shut_down(self) -> None:
        """End the connections without touching their event loop."""
        for stream in self.streams():
            stream.shut_down()

    def streams(self) -> list[ReplyStream]:
        """Its connection, or in a cluster one to each primary that has been used; they may have closed."""
        return [] if self.wire.opened is None else [self.wire.opened]

    @property
    def connected(self) -> bool:
        """Whether calls can be made; once False after a connect, it stays so."""
        return self.closed_because is None

    @property
    def closed_because(self) -> str | None:
        """Why the connection is closed, for people; None while it is open."""
        return "it was never connected" if self.wire.opened is None else self.wire.opened.closed_because

    @property
    def last_reply_at(self) -> float:
        """loop.time() when the last byte arrived; -inf before connect()."""
        return float("-inf") if self.wire.opened is None else self.wire.opened.last_reply_at

    @property
    def in_flight(self) -> int:
        """Calls written and not answered, abandoned ones included."""
        return sum(stream.in_flight for stream in self.streams())

    @property
    def backlog_calls(self) -> int:
        """Calls waiting or in flight, abandoned ones included."""
        return sum(stream.backlog_calls for stream in self.streams())

    @property
    def busy(self) -> bool:
        """Whether a call waits or is in flight, or a side connection is lent."""
        return bool(self.backlog_calls or self.connection_pool.lent)

    @property
    def backlog_bytes(self) -> int:
        """Packed bytes not yet given to the transport."""
        return sum(stream.backlog_bytes for stream in self.streams())

    @property
    def counters(self) -> StreamCounters:
        """What has happened on it."""
        return sum((stream.counters for stream in self.streams()), StreamCounters())

    def __repr__(self) -> str:
        state = "connected" if self.connected else f"closed: {self.closed_because}"
        return f"<{type(self).__name__} {self.wire.place} {state}, {self.in_flight} in flight>"

    # --- calls --------------------------------------------------------------------------------------------------------

    def execute_command(self, *args: Any, **options: Any) -> Coroutine[Any, Any, Any]:
        """Send one command once awaited, and return its parsed reply. Every method of the command API ends here."""
        plan = command_plan(args[0])
        if plan.need is None:
            return self.wire.call(args, plan, options)
        return self._where_it_may_run(args, plan, options)

    async def _where_it_may_run(self, args: tuple[Any, ...], plan: CommandPlan, options: dict[str, Any]) -> Any:
        need = None if plan.need is None else plan.need(plan.split(args))
        if need is None:
            return await self.wire.call(args, plan, options)
        self.check_side_connection(args[0], need)
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # redis-py's

    async def reauthenticate(self, username: str | None, password: str) -> None:
        """AUTH in the stream. An error reply (AuthenticationError, ResponseError) closes nothing."""
        args = ("AUTH", password) if username is None else ("AUTH", username, password)
        await self.wire.call(args, command_plan("AUTH"), {})

    async def shutdown(self, *args: Any, **options: Any) -> None:  # type: ignore[override] # redis-py types its own as sync
        """SHUTDOWN. Returns when the server has gone; raises RedisError if it has not."""
        with suppress(OutcomeUnknown):  # the connection ends instead of a reply
            await super().shutdown(*args, **options)

    # --- what needs a connection of its own ---------------------------------------------------------------------------

    def check_side_connection(self, what: Any, need: Need = Need.BLOCKS) -> None:
        """Raise NeedsOwnConnection unless a side connection may serve it."""
        if need is Need.BLOCKS and self.connection_pool.size:
            return
        name = what.decode(errors="replace") if isinstance(what, bytes) else what
        advice = "use a redis.asyncio.Redis of your own for it"
        if need is Need.BLOCKS:
            advice = "allow side connections (`connections=2`, which the budget counts), or " + advice
        raise NeedsOwnConnection(f"{name} {need.value} the connection that every caller shares: {advice}")

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> MultiplexedPipeline:
        """A batch. With MULTI/EXEC, the default, it needs a side connection; without, it uses the shared one."""
        if transaction:
            self.check_side_connection("pipeline(transaction=True)")
        return MultiplexedPipeline(self, transaction, shard_hint)

    def json(self, *args: Any, **options: Any) -> Any:
        """As redis-py's, except for its pipeline, which cannot be awaited there."""

        def pipeline(*_: Any, **__: Any) -> None:
            raise NeedsOwnConnection("redis-py's json().pipeline() cannot be awaited: use client.pipeline().json()")

        module: Any = super().json(*args, **options)
        module.pipeline = pipeline
        return module

    def pubsub(self, **options: Any) -> PubSub:
        """Needs a side connection."""
        self.check_side_connection("pubsub()")
        return super().pubsub(**options)

    def monitor(self) -> Monitor:
        """Needs a side connection."""
        self.check_side_connection("monitor()")
        return SideMonitor(self.connection_pool)

    def client(self) -> Redis:
        """A plain redis-py client on one side connection."""
        self.check_side_connection("client()")
        return SideClient(connection_pool=self.connection_pool, single_connection_client=True)


def _options_of(url: str) -> dict[str, Any]:
    """The keywords of `Redis` that an address stands for. Raises ValueError, also for what redis-py would ignore."""
    parts, options = urlsplit(url), dict[str, Any](parse_url(url))
    asked = {name for name in parse_qs(parts.query, True) if parts.scheme != "rediss" or not name.startswith("ssl_")}
    database = parts.scheme == "unix" or re.fullmatch("/?[0-9]*", parts.path)
    if asked - _OPTIONS or parts.fragment or parts.port == 0 or not database:
        raise ValueError
    if "decode_responses" in options:  # to redis-py any text is true
        options["decode_responses"] = options["decode_responses"].lower() in ("1", "true", "yes")
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    if "path" in options:
        options["unix_socket_path"] = options.pop("path")
    unknown = options.keys() - _KEYWORDS
    if unknown or any(sign in options.get("host", "") for sign in ",="):  # "host,password=KEY,ssl=True"
        raise ValueError
    return options
