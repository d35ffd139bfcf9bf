"""One connection and the FIFO of calls on it: one write per event-loop turn, replies matched in order, two clocks.

It does not connect, retry or decide what a reply means. Only its own two clocks, an error of the stream or `close`
close it; a caller that loses patience does not.
"""

from __future__ import annotations

import array
import asyncio
import os
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass
from operator import add
from socket import SHUT_RDWR
from typing import Any, TypeAlias, cast

from hiredis import PushNotification, Reader
from redis.exceptions import ConnectionError as RedisConnectionError

from .attributes import Attributes
from .call_deadline import GIVEN_UP, CallDeadline, current_deadline
from .errors import NotSent, OutcomeUnknown, Overloaded
from .stream_clocks import StreamClocks

if sys.platform == "linux":
    import fcntl
    import termios

Call: TypeAlias = "asyncio.Future[Any]"

NOT_ENOUGH_DATA = object()  # what the reader says when no reply is complete
WRITE_BYTES = 65_536  # at most in one write: asyncio's default write buffer
READ_BYTES = 262_144  # at most in one read
ASKING = b"*1\r\n$6\r\nASKING\r\n"  # written together with the command behind it, as it holds for that one only
_SCALARS = frozenset([bytes, str, int, float, bool, type(None)])  # replies that can't carry an error
_is_done = asyncio.Future.done


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """`stall_s`, `reply_s`: the connection's two clocks in seconds. The backlog counts abandoned calls, too."""

    stall_s: float = 5.0
    reply_s: float = 30.0
    backlog_calls: int = 5000
    backlog_bytes: int = 64 * 1024 * 1024


@dataclass(slots=True)
class StreamCounters:
    """What happened on one connection. `dropped`: replies whose caller had left. `errors`: error replies."""

    commands: int = 0
    batches: int = 0
    max_batch: int = 0
    replies: int = 0
    dropped: int = 0
    errors: int = 0
    pushes: int = 0

    def __add__(self, other: StreamCounters) -> StreamCounters:
        """Of both connections; the larger of their largest batches."""
        total = StreamCounters(*map(add, astuple(self), astuple(other)))
        total.max_batch = max(self.max_batch, other.max_batch)
        return total


def _check_decoded(reply: Any, encoding: str) -> None:
    """Raise the UnicodeDecodeError that strict decoding would have raised."""
    if isinstance(reply, str) and not reply.isascii():
        reply.encode(encoding, "surrogateescape").decode(encoding)
    elif isinstance(reply, list | set | dict):
        for item in reply:
            _check_decoded(item, encoding)
        for item in reply.values() if isinstance(reply, dict) else ():
            _check_decoded(item, encoding)


class ReplyStream(asyncio.BufferedProtocol):
    """The protocol of one connection. `reader` says NOT_ENOUGH_DATA when no reply is complete.

    `strictly`: the encoding that the reader decodes with, by `surrogateescape`. A reply that can't be decoded then
    fails its own call here; an error of the reader would not say whether it was a reply or a push.

    A call is *waiting* until it is written and *owed* from then until its reply. Errors say which: `NotSent` for
    waiting calls, `OutcomeUnknown` for owed ones. Not for use by two event loops: `send` raises `NotSent` on another.
    """

    def __init__(self, reader: Reader, limits: StreamLimits, strictly: str | None = None) -> None:
        self.limits = limits
        self.counters = StreamCounters()
        self.closed_because: str | None = None
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._lost = self._loop.create_future()
        self._reader, self._strictly = reader, strictly
        self._plain = _SCALARS - {str} if strictly else _SCALARS
        self._attributes = Attributes(reader)
        self._received = bytearray(READ_BYTES)
        self._buffer = memoryview(self._received)
        self._owed: deque[Call] = deque()
        self._waiting: dict[Call, bytes] = {}
        self._waiting_bytes = 0
        self._rest: deque[memoryview] = deque()  # what is unwritten of calls that are partly written
        self._room = limits.backlog_calls  # how many calls may wait; the owed ones are taken off already
        self._scopes: dict[Call, CallDeadline] = {}  # of waiting calls: told when they are written
        self._undecoded: set[Call] = set()  # want their replies as bytes whatever the client decodes
        self._paused = self._flush_due = False
        self._handed = 0  # bytes given to the transport so far
        self.last_reply_at = self._loop.time()
        self._clocks = StreamClocks(limits.stall_s, limits.reply_s, self.last_reply_at)
        self._watchdog: asyncio.TimerHandle | None = None  # of the next tick, while something is owed or waits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, TLS included."""
        self._transport = cast("asyncio.Transport", transport)

    # --- calls --------------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Calls written and not answered, abandoned ones included."""
        return len(self._owed)

    @property
    def backlog_calls(self) -> int:
        """Calls waiting or owed, abandoned ones included."""
        return len(self._owed) + len(self._waiting)

    @property
    def backlog_bytes(self) -> int:
        """Packed bytes that the transport has not been given yet."""
        return self._waiting_bytes

    def send(self, packed: bytes, undecoded: bool = False) -> Call:
        """Queue a command; the future gets its reply, as bytes if `undecoded`, whatever the reader decodes.

        Raises `NotSent` (closed, or another event loop) and `Overloaded`.
        """
        loop = asyncio.get_running_loop()
        waiting, scope = self._waiting, current_deadline()
        size = self._waiting_bytes + len(packed)
        if len(waiting) >= self._room or size > self.limits.backlog_bytes or loop is not self._loop:
            raise self._refusal(loop, 1)
        if scope is not None and scope.given_up:  # it is not to take up room until the next write
            raise NotSent(GIVEN_UP)
        call = loop.create_future()
        if scope is not None:
            self._scopes[call] = scope
        self._waiting_bytes = size
        waiting[call] = packed
        if undecoded:
            self._undecoded.add(call)
        if not self._flush_due:
            self._flush_due = True
            loop.call_soon(self._flush)
        return call

    def send_batch(self, commands: list[tuple[bytes, bool]]) -> list[Call]:
        """Queue commands next to each other, all of them or (raising as `send` does) none: (packed, undecoded) each."""
        size = self._waiting_bytes + sum(len(packed) for packed, _ in commands)
        loop = asyncio.get_running_loop()
        if (
            len(self._waiting) + len(commands) > self._room
            or size > self.limits.backlog_bytes
            or loop is not self._loop
        ):
            raise self._refusal(loop, len(commands))
        return [self.send(packed, undecoded) for packed, undecoded in commands]

    def leave(self, calls: Iterable[Call]) -> None:
        """Their caller has left: what is not written is withdrawn, and the replies of the rest are dropped."""
        for call in calls:
            call.cancel()
            self._withdraw(call)

    def _withdraw(self, call: Call) -> None:
        packed = self._waiting.pop(call, None)
        if packed is not None:
            self._waiting_bytes -= len(packed)
            self._undecoded.discard(call)
            self._scopes.pop(call, None)

    def _refusal(self, loop: asyncio.AbstractEventLoop, calls: int) -> NotSent:
        if loop is not self._loop:
            return NotSent("this client belongs to another event loop; make and connect one on this loop")
        if self.closed_because is not None:
            return NotSent(f"the connection is closed: {self.closed_because}")
        limit = self.limits
        if calls > limit.backlog_calls:
            return Overloaded(
                f"{calls} commands in one batch, the backlog takes {limit.backlog_calls}: split the batch"
            )
        return Overloaded(
            f"the backlog is full: {self.backlog_calls} of {limit.backlog_calls} calls and {self._waiting_bytes} of "
            f"{limit.backlog_bytes} bytes wait; send less at once"
        )

    # --- writing ------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flush_due = False
        if self._transport.is_closing():
            return
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._clocks.tick_s, self._watch)
        if self._paused:
            return
        waiting = self._waiting
        self._fail([call for call, scope in self._scopes.items() if scope.given_up], NotSent, GIVEN_UP)
        if any(map(_is_done, waiting)):
            for call in [call for call in waiting if call.done()]:
                self._withdraw(call)
        if not self._owed:
            self._clocks.progress_at = self._loop.time()
        if self._rest or self._waiting_bytes > WRITE_BYTES:
            self._write_pieces()
        elif waiting:
            self._begin(waiting)
            data = b"".join(waiting.values())
            waiting.clear()
            self._waiting_bytes = 0
            self._write(data)
        self._room = self.limits.backlog_calls - len(self._owed)

    def _begin(self, calls: Iterable[Call]) -> None:
        before = len(self._owed)
        self._owed.extend(calls)
        count = len(self._owed) - before
        if scopes := self._scopes:
            for call in calls:
                if (scope := scopes.pop(call, None)) is not None:
                    scope.count(1)
        counters = self.counters
        counters.commands += count
        counters.batches += 1
        if count > counters.max_batch:
            counters.max_batch = count

    def _write(self, data: bytes | memoryview) -> None:
        self._handed += len(data)
        self._transport.write(data)

    def _write_pieces(self) -> None:
        """Write until the transport asks to pause: what it has not taken can still be withdrawn."""
        while not self._paused and (self._rest or self._waiting) and not self._transport.is_closing():
            if not self._rest:
                self._begin_next()
            piece = self._rest.popleft()
            self._waiting_bytes -= len(piece)
            self._write(piece)

    def _begin_next(self) -> None:
        """Begin one large command, or as many small ones as one write takes."""
        calls: list[Call] = []
        size, before = 0, b""
        for call, packed in self._waiting.items():
            size += len(packed)
            if calls and size > WRITE_BYTES and before != ASKING:
                break
            calls.append(call)
            before = packed
        data = memoryview(b"".join([self._waiting.pop(call) for call in calls]))
        self._rest.extend(data[start : start + WRITE_BYTES] for start in range(0, len(data), WRITE_BYTES))
        self._begin(calls)
        self._clocks.bulk_begun(self.counters.commands, self._handed + sum(map(len, self._rest)))

    def pause_writing(self) -> None:
        """The transport's buffer is full: the rest waits here, where it can be withdrawn and counted."""
        self._paused = True

    def resume_writing(self) -> None:
        """The transport's buffer has drained."""
        self._paused = False
        self._flush()

    # --- reading ------------------------------------------------------------------------------------------------------

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the transport puts the next bytes; a view, as asyncio's TLS writes into slices of it."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived: settle every call whose reply is complete."""
        self.last_reply_at = self._clocks.progress_at = self._loop.time()
        owed = len(self._owed)
        try:
            for start, end in self._attributes.left_out(self._received, nbytes):
                self._reader.feed(self._buffer, start, end - start)  # type: ignore[arg-type] # it takes any buffer
                self._settle_complete()
        except Exception as error:  # noqa: BLE001 - whatever it is, the stream can't be trusted after it
            self.close(f"the reply stream is broken: {type(error).__name__}: {error}")
            return
        self.counters.replies += owed - len(self._owed)
        if self.closed_because is None:
            self._room = self.limits.backlog_calls - len(self._owed)

    def _settle_complete(self) -> None:
        owed, gets, undecoded = self._owed, self._reader.gets, self._undecoded
        while True:
            reply = gets() if not undecoded else gets(not (owed and owed[0] in undecoded))
            if reply is NOT_ENOUGH_DATA:
                return
            kind = type(reply)
            if kind is PushNotification:
                self.counters.pushes += 1
                continue
            if not owed:
                said = reply if isinstance(reply, Exception) else kind.__name__  # a value may be somebody's secret
                self.close(f"the server spoke without being asked: {said}")
                return
            call = owed.popleft()
            if kind in self._plain and not call.done() and not undecoded:
                call.set_result(reply)
            else:
                self._settle(call, reply)

    def _settle(self, call: Call, reply: Any) -> None:
        self._undecoded.discard(call)
        if isinstance(reply, list) and reply and isinstance(reply[0], RedisConnectionError):
            reply = reply[0]  # as redis-py does
        if self._strictly is not None:
            try:
                _check_decoded(reply, self._strictly)
            except UnicodeDecodeError as error:
                reply = error
        if isinstance(reply, Exception):
            self.counters.errors += 1
        if call.done():
            self.counters.dropped += 1
        elif isinstance(reply, Exception):
            call.set_exception(reply)
        else:
            call.set_result(reply)

    # --- the connection's own clocks ----------------------------------------------------------------------------------
    def _watch(self, again: bool = False) -> None:
        try:
            reason = self._overdue()
        except Exception as error:  # noqa: BLE001 - a connection that nobody watches would hang its callers
            reason = f"its clocks failed: {error!r}"
        if reason is not None and again:
            self.close(reason)
        elif reason is not None:  # a loop that was held up has not read yet what has arrived: that comes first
            self._watchdog = self._loop.call_later(0, self._watch, True)
        elif self._owed or self._waiting:
            self._watchdog = self._loop.call_later(self._clocks.tick_s, self._watch)
        else:
            self._watchdog = None

    def _overdue(self) -> str | None:
        now, clocks = self._loop.time(), self._clocks
        clocks.note_drain(now, self.counters.commands - len(self._owed), self._handed, self._unsent)
        return clocks.overdue(now, self.counters.commands, len(self._owed), len(self._waiting))

    def _unsent(self) -> int:
        """Bytes handed to the transport that the peer has not acknowledged: its buffer's and the kernel's."""
        size = self._transport.get_write_buffer_size()
        if sys.platform == "linux":
            queued = array.array("i", [0])
            with suppress(OSError):
                fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
            size += queued[0]
        return size

    # --- the end ------------------------------------------------------------------------------------------------------

    def eof_received(self) -> None:
        """The server has closed its half: nothing more will come."""
        self.close("the server closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone."""
        self.close(f"the connection was lost: {error!r}" if error else "the connection was lost")
        if not self._lost.done():
            self._lost.set_result(None)

    def close(self, reason: str) -> None:
        """Close now and fail what is in flight: owed calls OutcomeUnknown, waiting ones NotSent. Idempotent."""
        if self.closed_because is not None:
            return
        self.closed_because, self._room = reason, -1
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._transport.abort()
        self._fail(self._owed, OutcomeUnknown, f"written, and no reply came: {reason}")
        self._fail(self._waiting, NotSent, f"not written: {reason}")
        self._owed.clear()
        self._waiting.clear()
        self._scopes.clear()
        self._rest.clear()
        self._undecoded.clear()
        self._waiting_bytes = 0

    @staticmethod
    def _fail(calls: Iterable[Call], error: type[Exception], message: str) -> None:
        for call in calls:
            if not call.done():
                call.set_exception(error(message))

    def is_foreign(self) -> bool:
        """Whether another event loop than the stream's is running."""
        return asyncio.get_running_loop() is not self._loop

    def shut_down(self) -> None:
        """End the TCP connection without touching the stream's event loop; if that still runs, it sees the end."""
        if os.getpid() == self._pid:  # a forked child has the same socket
            with suppress(OSError):
                self._transport.get_extra_info("socket").shutdown(SHUT_RDWR)

    async def aclose(self, reason: str) -> None:
        """Close and wait until the socket is closed."""
        self.close(reason)
        await asyncio.shield(self._lost)
