"""The connections besides the shared one: few, opened on demand, each lent to one caller at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Monitor
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .call_deadline import GIVEN_UP, current_deadline
from .command_plan import Need, command_plan
from .errors import NeedsOwnConnection, NotSent, Overloaded
from .server_reply import ServerState, server_state

# what redis-py undoes before it gives a connection back
_OF_A_SESSION = frozenset(["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "MONITOR"])
_SUBSCRIBING = frozenset(how + verb for verb in ("SUBSCRIBE", "UNSUBSCRIBE") for how in ("", "P", "S"))


class SideConnection(AbstractConnection):
    """Tells deadlines what was written, as the shared connection does."""

    pool: SidePool
    greeting = stale = False  # stale: the server has to be greeted again

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        """As redis-py's. Raises NotSent once the client is closed, whoever still holds this connection."""
        if self.pool.closed:
            raise NotSent("the client of this connection was closed")
        self.greeting = True
        opening = asyncio.ensure_future(super().connect_check_health(*args, **options))
        self.pool.opening.add(opening)
        try:
            async with asyncio.timeout(self.pool.wait_s):
                await opening
        except TimeoutError as error:
            raise RedisTimeoutError(f"no side connection to Redis within {self.pool.wait_s:g} s") from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.pool.closed and (task is None or not task.cancelling()):
                raise NotSent("the client of this connection was closed") from None
            raise
        finally:
            self.pool.opening.discard(opening)
            self.greeting = False

    async def send_command(self, *args: Any, **options: Any) -> None:
        """Raises NeedsOwnConnection for what would change the connection for its next borrower."""
        if not self.greeting:
            _check(args)
        await super().send_command(*args, **options)

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """A transaction's commands. Raises as `send_command`."""
        split = [tuple(command) for command in commands]
        for command in split:
            _check(command)
        return super().pack_commands(split)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Counts as written only what follows the greeting."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if not self.greeting and (scope := current_deadline()) is not None:
            if scope.given_up:
                raise NotSent(GIVEN_UP)
            scope.count(1)
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        await super().send_packed_command(command, check_health)
        if task is not None and task.cancelling() > cancelled:  # Python 3.11's wait_for, in there, can swallow it
            await self.disconnect(nowait=True)  # a reply is owed that nobody will read
            raise asyncio.CancelledError

    async def can_read(self, *args: Any, **options: Any) -> bool:
        """As redis-py's. Raises ConnectionError after a reset, too: redis-py 8's own sees nothing but an end."""
        if await super().can_read(*args, **options):
            return True
        await super().read_response(timeout=0)
        return False

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Marks an error as one of a side connection: it says nothing about the shared one."""
        try:
            return await super().read_response(*args, **options)
        except RedisError as error:
            error.aside = True  # type: ignore[attr-defined]
            found = server_state(error)
            self.stale |= found is not None and found[1] is ServerState.RECREATE
            raise


class _GivesBack:
    """Of a client or a monitor: redis-py keeps its connection if entering or leaving it is cancelled."""

    connection: Any
    connection_pool: Any

    async def __aenter__(self) -> Any:
        return await self._or_release(super().__aenter__())  # type: ignore[misc] # redis-py's

    async def __aexit__(self, *error: Any) -> None:
        await self._or_release(super().__aexit__(*error))  # type: ignore[misc] # redis-py's

    async def _or_release(self, step: Any) -> Any:
        try:
            return await step
        except BaseException:
            if (connection := self.connection) in self.connection_pool.lent_ones:
                self.connection = None
                await connection.disconnect(nowait=True)
                await self.connection_pool.release(connection)
            raise


SideClient: Callable[..., Redis] = type("SideClient", (_GivesBack, Redis), {})
SideMonitor: Callable[..., Monitor] = type("SideMonitor", (_GivesBack, Monitor), {})


def _check(command: tuple[Any, ...]) -> None:
    plan = command_plan(command[0])
    if plan.need is None or plan.name in _OF_A_SESSION | _SUBSCRIBING:
        return
    if plan.need(plan.split(command)) is Need.CHANGES_STATE:
        raise NeedsOwnConnection(
            f"{plan.name} would change this connection for its next borrower: use a redis.asyncio.Redis of your own"
        )


@cache
def _on_a_side(kind: Any) -> type[AbstractConnection]:
    """That kind of connection as a side connection."""
    return kind if issubclass(kind, SideConnection) else type("SideConnection", (SideConnection, kind), {})


class SidePool(ConnectionPool):
    """At most `size` connections, for what can't share one. First come, first served; the wait is bounded."""

    def __init__(self, size: int, wait_s: float, connection_class: Any, **options: Any) -> None:
        super().__init__(connection_class=_on_a_side(connection_class), max_connections=max(size, 1), **options)
        self.size, self.wait_s, self.closed = size, wait_s, False
        self._free, self._keeps = asyncio.Semaphore(size), True
        self.lent_ones: set[AbstractConnection] = set()
        self._promised = 0  # about to be lent: their borrowers may write at any moment
        self.opening: set[asyncio.Future[Any]] = set()  # ended by aclose: a closed client opens none

    @property
    def lent(self) -> int:
        """Connections that a caller has now, or is about to get."""
        return len(self.lent_ones) + self._promised

    def make_connection(self) -> SideConnection:
        """A new one, not yet open."""
        made: SideConnection = super().make_connection()  # type: ignore[no-untyped-call] # redis-py's
        made.pool = self
        return made

    def share(self, other: SidePool) -> None:
        """One bound for the pools of a cluster's nodes: none keeps a connection open that nobody uses."""
        self._free, self._keeps = other._free, False

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> AbstractConnection:
        """A connection for the caller alone. Raises NeedsOwnConnection at size 0, Overloaded if all stay in use."""
        if not self.size:
            raise NeedsOwnConnection("this needs a connection of its own, and the client has no side connections")
        try:
            async with asyncio.timeout(self.wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded(f"all {self.size} side connections stayed in use for {self.wait_s:g} s") from None
        self._promised += 1
        try:
            connection: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call] # redis-py's
        except BaseException:
            self._free.release()
            raise
        finally:
            self._promised -= 1
        self.lent_ones.add(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back, and let the next caller have it."""
        try:
            if isinstance(connection, SideConnection) and (connection.stale or not self._keeps):
                connection.stale = False
                await connection.disconnect(nowait=True)
            await asyncio.shield(super().release(connection))
        finally:
            if connection in self.lent_ones:
                self.lent_ones.discard(connection)
                self._free.release()

    async def aclose(self) -> None:
        """Close them all, those that are lent or being opened too; none opens again."""
        self.closed = True
        for opening in tuple(self.opening):
            opening.cancel()
        if self.opening:
            await asyncio.wait(self.opening)
        await super().aclose()
