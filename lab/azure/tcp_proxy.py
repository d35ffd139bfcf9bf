"""A TCP proxy on 127.0.0.1 that fails on purpose: late, slow, mute, cut. Faults can be changed while it runs.

For tests and measurements only: it listens on and connects to 127.0.0.1, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
KERNEL_BUFFER = 65_536  # bytes: what a slow link holds is in the link, not in generous buffers at its ends
CHUNK = 16_384
SLOW_S = 0.002
CATCH_UP_S = 0.5
CLOSES_S = 1.0


@dataclass
class Faults:
    """What happens to bytes of one direction. `cut_after`: bytes still let through before the connection is reset.

    `delay_s`: one way. `bytes_per_s`: 0 is unlimited. `black_hole`: nothing passes, nothing is closed.
    """

    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    cut_after: int | None = None
    black_hole: bool = False

    def reset(self) -> None:
        """No fault any more."""
        self.delay_s, self.bytes_per_s, self.cut_after, self.black_hole = 0.0, 0.0, None, False


@dataclass(eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    ending: bool = False  # a side has said its last


class TcpProxy:
    """`async with TcpProxy(target_port) as proxy:` listens on `proxy.port`; `to_server`, `to_client` hold faults."""

    def __init__(self, target_port: int, *, port: int = 0) -> None:
        self.target_port, self.port = target_port, port
        self.to_server, self.to_client = Faults(), Faults()
        self.accepted = 0
        self._links: set[_Link] = set()
        self._accepting: set[asyncio.Task[Any] | None] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @property
    def open_links(self) -> int:
        """Connections that are open at this moment, those included that a black hole keeps from the server."""
        return len(self._links) + len(self._accepting)

    async def __aenter__(self) -> TcpProxy:
        listener = socket.create_server((HOST, self.port))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=CHUNK)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.refuse()
        waiting = [task for task in self._accepting if task is not None]
        for task in waiting:
            task.cancel()
        links = list(self._links)
        self.reset_all()
        await asyncio.gather(*waiting, *(task for link in links for task in link.tasks), return_exceptions=True)

    def black_hole(self) -> None:
        """From now on nothing passes, in either direction, and nobody is told."""
        self.to_server.black_hole = self.to_client.black_hole = True

    def heal(self) -> None:
        """No more faults; what a black hole held back passes now."""
        self.to_server.reset()  # in place: the pumps hold the object
        self.to_client.reset()
        self._changed.set()
        self._changed = asyncio.Event()

    def refuse(self) -> None:
        """Accept no more: a connect is refused from now on."""
        if self._server is not None:
            self._server.close()

    def reset_all(self) -> None:
        """RST on every open connection, on both sides."""
        for link in list(self._links):
            self._reset(link)

    def half_close_all(self) -> None:
        """Send FIN to every client; the other direction stays open."""
        for link in self._links:
            link.client.write_eof()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        accepting = asyncio.current_task()
        self._accepting.add(accepting)
        try:
            await self._connect(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._accepting.discard(accepting)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await self._held_back(reader) if self.to_server.black_hole else b""
        if said is None:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self.target_port, limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        server_writer.write(said)
        link = _Link(writer, server_writer)
        self._links.add(link)
        link.tasks = [
            asyncio.create_task(self._pump(link, reader, server_writer, self.to_server)),
            asyncio.create_task(self._pump(link, server_reader, writer, self.to_client)),
        ]

    async def _held_back(self, reader: asyncio.StreamReader) -> bytes | None:
        """Wait for the end of a black hole, and then until the closes that it held back have passed: they came first.

        What the client has said meanwhile; None if it gave up, so that the server never hears of it.
        """
        said = bytearray()
        hearing = asyncio.create_task(_hear(reader, said))
        clock = asyncio.get_running_loop().time
        try:
            while self.to_server.black_hole:
                await _first(hearing, self._changed.wait())
                if hearing.done():
                    return None
                ends = clock() + CLOSES_S
                while any(link.ending for link in self._links) and clock() < ends:  # noqa: ASYNC110 - links come and go
                    await asyncio.sleep(SLOW_S)
            return None if hearing.done() else bytes(said)
        finally:
            hearing.cancel()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults
    ) -> None:
        """Move bytes one way. Late bytes wait in a queue, so a delay does not limit the rate."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        sender = asyncio.create_task(self._send(link, queue, writer, faults))
        clock = asyncio.get_running_loop().time
        try:
            while data := await reader.read(CHUNK):
                await queue.put((clock() + faults.delay_s, data))
                while faults.bytes_per_s and not queue.empty():  # noqa: ASYNC110 - a slow link holds little
                    await asyncio.sleep(SLOW_S)
            link.ending = True
            await queue.put((clock() + faults.delay_s, b""))
            await sender
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            sender.cancel()
            self._reset(link)

    async def _send(
        self, link: _Link, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, faults: Faults
    ) -> None:
        clock = asyncio.get_running_loop().time
        free_at = clock()  # when a slow link has passed on what it was given
        with contextlib.suppress(OSError):
            while True:
                due, data = await queue.get()
                if due > clock():
                    await asyncio.sleep(due - clock())
                while faults.black_hole:
                    await self._changed.wait()
                if not data:
                    return
                if faults.cut_after is not None:
                    data = data[: faults.cut_after]
                    faults.cut_after -= len(data)
                free_at = await self._write(writer, data, faults, free_at)
                if faults.cut_after == 0:
                    await asyncio.sleep(0.01)  # an RST overtakes the bytes before it
                    self._reset(link)
                    return

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, faults: Faults, free_at: float) -> float:
        """At the rate of the faults, also on a machine that wakes this late; when the link is free again."""
        clock = asyncio.get_running_loop().time
        while data:
            size = max(1, int(faults.bytes_per_s * SLOW_S)) if faults.bytes_per_s else len(data)
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            if faults.bytes_per_s:
                free_at = max(free_at, clock() - CATCH_UP_S) + size / faults.bytes_per_s
                await asyncio.sleep(max(0.0, free_at - clock()))
        return free_at

    def _reset(self, link: _Link) -> None:
        if link not in self._links:
            return
        self._links.remove(link)
        for writer in (link.client, link.server):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for task in link.tasks:
            if task is not asyncio.current_task():
                task.cancel()


async def _hear(reader: asyncio.StreamReader, said: bytearray) -> None:
    """Collect what a client sends until it ends or sends more than a client without an answer would."""
    while len(said) < CHUNK and (data := await reader.read(CHUNK)):
        said += data
    if len(said) >= CHUNK:
        await asyncio.Event().wait()


async def _first(task: asyncio.Task[None], other: Coroutine[Any, Any, object]) -> None:
    """Return when one of them is done; the other work ends with this."""
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
