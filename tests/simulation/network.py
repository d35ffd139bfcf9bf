"""TCP in memory: bytes that are split, joined, delayed, held up, cut, reset or swallowed, with back-pressure both ways.

Never reorders and never invents a byte: what TCP promises is kept, everything else is up to the seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .loop import SimLoop, World

HIGH, LOW = 65_536, 16_384  # asyncio's write buffer limits, in bytes


class Server(Protocol):
    """What a server does with its connections."""

    def connected(self, link: Link) -> None: ...
    def received(self, link: Link, data: bytes) -> None: ...
    def closed(self, link: Link) -> None: ...


class Network:
    """Every connection between the processes and one server, and what is wrong with the network now.

    `delay_s`: least and most of one way. `hole`: packets vanish. `refusing`: nobody listens. `held`: nothing moves on.
    """

    def __init__(self, world: World, server: Server, seed: str) -> None:
        self.world, self.server = world, server
        self.random = random.Random(f"{seed}/network")
        self.delay_s = (0.0002, 0.002)
        self.hole = self.held = self.refusing = False
        self.split = 0.1
        self.links: dict[Link, None] = {}  # as the server sees them
        self.open_at: dict[str, int] = {}  # process -> connections as it sees them, attempts included
        self.bound: dict[str, int] = {}
        self.opened = 0

    def opening(self, who: str) -> None:
        """One more from there; more than its bound may never be."""
        count = self.open_at[who] = self.open_at.get(who, 0) + 1
        if count > self.bound.get(who, 1_000_000):
            self.world.violate(f"{who} holds {count} connections, its bound is {self.bound[who]}")

    def way_s(self) -> float:
        """How long one packet takes, in seconds."""
        return self.random.uniform(*self.delay_s)

    async def connect(self, loop: SimLoop, factory: Callable[[], Any], host: Any, port: Any) -> Any:
        """As `loop.create_connection`: a transport and its protocol."""
        self.opening(loop.name)
        answer = loop.create_future()
        self.world.later(2 * self.way_s(), self._answer, answer)
        try:
            await answer
        except BaseException:
            self.open_at[loop.name] -= 1
            raise
        transport = SimTransport(self, loop, factory())
        transport.protocol.connection_made(transport)
        return transport, transport.protocol

    def _answer(self, answer: asyncio.Future[None]) -> None:
        if answer.done() or self.hole:
            return
        if self.held:
            self.world.later(0.05, self._answer, answer)
        elif self.refusing:
            answer.set_exception(ConnectionRefusedError(111, "Connect call failed"))
        else:
            answer.set_result(None)

    def reset_all(self) -> None:
        """Every connection is reset, as when the server's process dies."""
        for link in list(self.links):
            link.reset()

    def release(self) -> None:
        """Whatever was held goes on; connections of which one end lost packets are reset sooner or later."""
        self.hole = self.held = self.refusing = False
        for link in list(self.links):
            if link.lossy:
                self.world.later(self.random.uniform(0.1, 2), link.reset)
            else:
                link.go_on()


class Link:
    """One connection as its server sees it: `write` and `close` are the server's side."""

    def __init__(self, network: Network, transport: SimTransport) -> None:
        self.network, self.transport = network, transport
        self.who = transport.loop.name
        self.gone = self.lossy = self.client_closed = False
        self._to_server: deque[Any] = deque()
        self._to_client: deque[Any] = deque()
        self._arrives = [0.0, 0.0]  # the last packet of each direction: none overtakes another
        network.links[self] = None
        network.opened += 1
        network.server.connected(self)

    def send(self, data: Any) -> None:
        """Client to server: bytes, or None for the end."""
        self._post(self._to_server, 0, data, self._server_reads)

    def write(self, data: bytes) -> None:
        """Server to client."""
        if not self.gone:
            self._post(self._to_client, 1, data, self._client_reads)

    def half_close(self) -> None:
        """The server will write nothing more; it still reads."""
        self.write(b"")

    def _post(self, pipe: deque[Any], way: int, data: Any, arrive: Callable[[], None]) -> None:
        network = self.network
        if network.hole:
            self.lossy = True
        if self.lossy:
            return
        pieces = [data]
        if data and len(data) > 1 and network.random.random() < network.split:
            cut = network.random.randrange(1, len(data))
            pieces = [data[:cut], data[cut:]]
        for piece in pieces:
            pipe.append(piece)
            self._arrives[way] = when = max(self._arrives[way], network.world.now + network.way_s())
            network.world.at(when, arrive)

    def go_on(self) -> None:
        """Deliver what was held."""
        for _ in range(len(self._to_server)):
            self._server_reads()
        for _ in range(len(self._to_client)):
            self._client_reads()

    def _server_reads(self) -> None:
        if self.gone or self.network.held or not self._to_server:
            return
        if self.network.hole:
            self.lossy = True
            return
        data = self._to_server.popleft()
        if data is None:
            self._end()
            return
        self.transport.taken(len(data))
        self.network.server.received(self, data)

    def _client_reads(self) -> None:
        if self.network.held or not self._to_client:
            return
        if self.network.hole:
            self.lossy = True
            return
        self.transport.arrived(self._to_client.popleft())

    def reset(self) -> None:
        """Both ends are told; what was on the way may or may not have arrived."""
        if self.gone:
            return
        while self._to_server and self._to_server[0] is not None and self.network.random.random() < 0.5:
            self.network.server.received(self, self._to_server.popleft())
            if self.gone:
                return
        self._end()
        self.transport.broken(ConnectionResetError(104, "Connection reset by peer"))

    def close(self) -> None:
        """The server closes its side."""
        if not self.gone:
            self.half_close()
            self._end()

    def _end(self) -> None:
        self.gone = True
        self.network.links.pop(self, None)
        self.network.server.closed(self)


class SimTransport(asyncio.Transport):
    """The client's end. Bytes wait in its own buffer, then in the kernel's until the server has read them."""

    def __init__(self, network: Network, loop: SimLoop, protocol: Any) -> None:
        super().__init__()
        self.network, self.loop, self.protocol = network, loop, protocol
        self.window = network.random.choice((4_096, 65_536, 1_000_000))
        self._buffer = bytearray()
        self._kernel = 0
        self._received = bytearray()
        self._closing = self._counted_out = self._paused = self._reading_off = self._eof = self._told_eof = False
        self._reading_due = False
        self.link = Link(network, self)

    # -- asyncio's side ----------------------------------------------------------------------------------------------
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("10.0.0.1", 6379), "socket": self}.get(name, default)

    def setsockopt(self, *_: Any) -> None:
        """There is no kernel that would care."""

    def fileno(self) -> int:
        """There is no kernel to ask: `get_write_buffer_size` tells its share, too."""
        raise OSError("no file descriptor")

    def shutdown(self, how: int) -> None:
        """As of a socket: the connection ends."""
        self.broken(ConnectionResetError(104, "shut down"))

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        """What the server has not read, the kernel's share included: the stream's clocks add that for themselves."""
        return len(self._buffer) + self._kernel

    def write(self, data: Any) -> None:
        if self._closing or self.link.gone:
            return
        self._buffer += data
        self._push()
        if len(self._buffer) > HIGH and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def _push(self) -> None:
        count = min(len(self._buffer), self.window - self._kernel)
        if count > 0:
            self._kernel += count
            data = bytes(self._buffer[:count])
            del self._buffer[:count]
            self.link.send(data)

    def pause_reading(self) -> None:
        self._reading_off = True

    def resume_reading(self) -> None:
        self._reading_off = False
        self._ask_to_read()

    def is_reading(self) -> bool:
        return not self._reading_off

    def close(self) -> None:
        self._finish(None)

    def abort(self) -> None:
        self._finish(None)

    def _finish(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self.network.open_at[self.loop.name] -= 1
        if not self.link.gone:
            self.link.client_closed = True
            self.link.send(None)
        self.loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self.protocol.connection_lost(error)

    # -- the network's side ------------------------------------------------------------------------------------------
    def taken(self, count: int) -> None:
        """The server has read so many bytes."""
        self._kernel -= count
        if self._buffer:
            self.loop.io_ready(self._writable)

    def _writable(self) -> None:
        if not self._closing:
            self._push()
            if self._paused and len(self._buffer) <= LOW:
                self._paused = False
                self.protocol.resume_writing()

    def arrived(self, data: bytes) -> None:
        """Bytes for the client; none are the server's end."""
        if data:
            self._received += data
        else:
            self._eof = True
        self._ask_to_read()

    def _ask_to_read(self) -> None:
        if not (self._reading_due or self._closing or self._reading_off) and (self._received or self._eof):
            self._reading_due = True
            self.loop.io_ready(self._read)

    def _read(self) -> None:
        self._reading_due = False
        if self._closing or self._reading_off:
            return
        if self._received:
            some = self.network.random.random() < self.network.split
            size = self.network.random.randint(1, len(self._received)) if some else len(self._received)
            if isinstance(self.protocol, asyncio.BufferedProtocol):
                room = memoryview(self.protocol.get_buffer(-1))
                size = min(size, len(room))
                room[:size] = self._received[:size]
                del self._received[:size]
                self.protocol.buffer_updated(size)
            else:
                data = bytes(self._received[:size])
                del self._received[:size]
                self.protocol.data_received(data)
        elif self._eof and not self._told_eof:
            self._told_eof = True
            if not self.protocol.eof_received():
                self._finish(None)
            return
        self._ask_to_read()

    def broken(self, error: Exception) -> None:
        """The connection was reset."""
        if not self._closing:
            self.loop.io_ready(self._finish, error)
