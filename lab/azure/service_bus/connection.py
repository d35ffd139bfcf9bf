"""One AMQP connection: frames, the SASL and AMQP handshakes, channels, beats (OASIS AMQP 1.0, parts 2.2 to 2.4, 5.3).

It must never let a peer do harm: whatever breaks the protocol ends that connection only, a peer that does not read is
not read from either, one that says nothing is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from . import performatives as amqp
from .amqp_types import Array, Described, Symbol, UByte, UInt, UShort
from .codec import CodecError, decode
from .limits import HANDSHAKE_S, IDLE_S, MAX_FRAME, MAX_SESSIONS, WRITE_BUFFER
from .link import Link
from .node import Node
from .performatives import Begin, Close, End, Open, Performative, SaslInit
from .session import Session

log = logging.getLogger(__name__)

AMQP_HEADER, SASL_HEADER = b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00"
AMQP_FRAME, SASL_FRAME = 0, 1
LATER = ("MSSBCBS", "ANONYMOUS")  # with both, who somebody is comes later, as a token over $cbs
PLAIN = "PLAIN"  # a shared access key's name and the key (RFC 4616)
MIN_FRAME = 512  # bytes every peer must accept (part 2.4.1)
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
FLUSH_BYTES = 64 * 1024  # frames are written at once beyond this
BEAT_S = 20.0  # how often a silent peer hears from us at least
MIN_BEAT_S = 0.5


class Connection(asyncio.Protocol):
    """A peer."""

    def __init__(self, node: Node, idle_s: float = IDLE_S) -> None:
        self.node, self.idle_s = node, idle_s
        self.max_frame = MIN_FRAME  # what the peer takes
        self.writable = True
        self.opened = self.deaf = False
        self.partials: set[Link] = set()  # links in the middle of a message
        self._sessions: dict[int, Session] = {}
        self._buffer = bytearray()
        self._beat_s = BEAT_S
        self._greeted = False
        self._pending: list[bytes] = []  # frames of this turn of the loop, to leave in one write
        self._pending_bytes = 0
        self._working = False  # in `_work`, which writes at its end

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._made_at = self._heard_at = self._spoke_at = self._loop.time()
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        if not self.node.connected(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._close_sessions()
        self.node.disconnected(self)

    def pause_writing(self) -> None:
        self.writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.writable = True
        self._transport.resume_reading()
        self._work()
        for session in list(self._sessions.values()):
            session.resume()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self.node.mute(self):
            self.deaf = True
            return
        self._buffer += data
        self._work()

    # --- life ---------------------------------------------------------------------------------------------------------
    def beat(self) -> None:
        """Called every so often: keep the peer's clock quiet, and drop it if ours has run out."""
        now = self._loop.time()
        if now - self._heard_at > 2 * self.idle_s or (not self.opened and now - self._made_at > HANDSHAKE_S):
            self.cut()
        elif self.opened and self.writable and now - self._spoke_at >= self._beat_s:
            self._write(EMPTY_FRAME)

    def cut(self) -> None:
        """End it without a word, as a network does."""
        self._transport.abort()

    def close(self, why: Described | None = None) -> None:
        """End it politely."""
        self.send(0, amqp.pack(amqp.CLOSE, why))
        self._flush()
        self._transport.close()

    # --- out ----------------------------------------------------------------------------------------------------------
    def send(self, channel: int, body: bytes, kind: int = AMQP_FRAME) -> None:
        self._write((len(body) + 8).to_bytes(4, "big") + bytes((2, kind)) + channel.to_bytes(2, "big") + body)

    def _write(self, data: bytes) -> None:
        if self.node.mute(self):
            self.deaf = True
        elif not self._transport.is_closing():
            if not self._pending and not self._working:
                self._loop.call_soon(self._flush)
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes > FLUSH_BYTES:
                self._flush()

    def _flush(self) -> None:
        """One write for many frames: the system call costs more than all the rest."""
        if self._pending and not self._transport.is_closing():
            self._spoke_at = self._loop.time()
            self._transport.write(b"".join(self._pending))
        self._pending.clear()
        self._pending_bytes = 0

    # --- in -----------------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        """Handle the frames that are there; a peer that does not read our answers has to wait with its questions."""
        at, self._working = 0, True
        try:
            while self.writable and not self._transport.is_closing():
                if (end := self._next(at)) is None:
                    break
                at = end
        except (CodecError, RecursionError) as bad:
            log.warning("a peer broke the protocol: %s", bad)
            self.close(amqp.error("amqp:connection:framing-error", str(bad)[:200]))
        except Exception:  # whatever one peer brought about must not reach the others
            log.exception("a frame could not be handled")
            self.close(amqp.error("amqp:internal-error", "The broker failed to handle a frame; see its log."))
        del self._buffer[:at]
        self._working = False
        self._flush()

    def _next(self, at: int) -> int | None:
        """Handle the frame or header at a position; returns where the next one starts, None if it is not whole yet."""
        buffer = self._buffer
        if len(buffer) < at + 8:
            return None
        if buffer[at : at + 4] == b"AMQP":
            self._greet(bytes(buffer[at : at + 8]))
            return at + 8
        size = int.from_bytes(buffer[at : at + 4], "big")
        if not 8 <= size <= MAX_FRAME or not self._greeted:
            raise CodecError(f"a frame of {size} bytes" if self._greeted else "no AMQP header")
        if len(buffer) < at + size:
            return None
        start = buffer[at + 4] * 4
        if not 8 <= start <= size:
            raise CodecError(f"a data offset of {start} bytes")
        frame = bytes(buffer[at : at + size])
        if start < size:
            body, end = decode(frame, start)
            channel = int.from_bytes(frame[6:8], "big")
            self._handle(frame[5], channel, amqp.parse(body), frame[end:])
        return at + size

    def _greet(self, header: bytes) -> None:
        if header not in (AMQP_HEADER, SASL_HEADER) or self.opened:
            self._write(AMQP_HEADER)
            raise CodecError("an AMQP header of another version, or out of place")
        self._greeted = True
        self._write(header)
        if header == SASL_HEADER:
            mechanisms = Array([Symbol(name) for name in (*LATER, PLAIN)])
            self.send(0, amqp.pack(amqp.SASL_MECHANISMS, mechanisms), SASL_FRAME)

    def _handle(self, kind: int, channel: int, frame: Performative, payload: bytes) -> None:
        if kind == SASL_FRAME:
            if isinstance(frame, SaslInit):
                self._sign_in(frame)
        elif isinstance(frame, Open):
            self._open(frame)
        elif not self.opened:
            raise CodecError("a frame before open")
        elif isinstance(frame, Close):
            self.close()
        elif isinstance(frame, Begin):
            self._begin(channel, frame)
        elif (session := self._sessions.get(channel)) is None:
            log.debug("a frame on channel %d, where no session is: pyamqp detaches links after its end", channel)
        elif isinstance(frame, End):
            session.close()
            del self._sessions[channel]
            self.send(channel, amqp.pack(amqp.END))
        else:
            session.handle(frame, payload)

    def _sign_in(self, frame: SaslInit) -> None:
        known = frame.mechanism in LATER
        if frame.mechanism == PLAIN:
            known = len([part for part in (frame.initial_response or b"").split(b"\0")[1:] if part]) == 2
            if known:
                self.node.signed_in(self)
        self.send(0, amqp.pack(amqp.SASL_OUTCOME, UByte(0 if known else 1)), SASL_FRAME)

    def _open(self, frame: Open) -> None:
        if self.opened:
            raise CodecError("open twice")
        self.opened = True
        self.max_frame = max(min(frame.max_frame_size or MAX_FRAME, MAX_FRAME), MIN_FRAME)
        if frame.idle_time_out:
            self._beat_s = max(min(BEAT_S, frame.idle_time_out / 1000 / 3), MIN_BEAT_S)
        idle = UInt(self.idle_s * 1000)
        channels = UShort(MAX_SESSIONS - 1)
        self.send(0, amqp.pack(amqp.OPEN, "local-service-bus", None, UInt(MAX_FRAME), channels, idle))

    def _begin(self, channel: int, frame: Begin) -> None:
        if channel in self._sessions or len(self._sessions) >= MAX_SESSIONS:
            raise CodecError(f"channel {channel} is in use, or there are {MAX_SESSIONS} sessions already")
        self._sessions[channel] = Session(self, channel, frame)

    def _close_sessions(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()
