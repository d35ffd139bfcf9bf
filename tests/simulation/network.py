"""TCP in memory: bytes that are split, joined, delayed, held up, cut, reset or swallowed, with back-pressure both ways.

Never reorders and never invents a byte: what TCP promises is kept, everything else is up to the seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import SimLoop, World

if TYPE_CHECKING:
    from tests.simulation.redis_model import RedisModel

HIGH, LOW = 65_536, 16_384  # asyncio's write buffer limits, in bytes


class Network:
    """Every connection between the processes and one server, and what is wrong with the network now.

    `delay_s`: least and most of one way. `split`: how many packets are, of 1. `hole`: packets vanish. `refusing`:
    nobody listens, `dead`: at these ports. `held`: nothing moves on.
    """

    def __init__(self, world: World, server: RedisModel, seed: str) -> None:
        self.world, self.server, self.random = world, server, random.Random(f"{seed}/network")
        self.delay_s, self.split = (0.0002, 0.002), 0.1
        self.hole = self.held = self.refusing = False
        self.links: dict[Link, None] = {}  # as the server sees them
        self.unheard: list[Link] = []  # closed by the server, and nothing gets through to say so
        self.open_at: Counter[str] = Counter()  # process -> connections as it sees them, attempts included
        self.ended: Counter[str] = Counter()  # process -> connections that have ended
        self.read_at: dict[str, float] = {}  # process -> when it last read anything
        self.passed_at = 0.0  # when anything last got through, to anybody
        self.bound: Counter[str] = Counter()
        self.more = 0  # connections that every process may have besides
        self.dead: set[int] = set()

    @property
    def shut(self) -> bool:
        """Whether nothing gets through, on new connections at least."""
        return self.hole or self.held or self.refusing

    def way_s(self) -> float:
        """How long one packet takes, in seconds."""
        least, most = self.delay_s
        return least + (most - least) * self.random.random()

    async def connect(self, loop: SimLoop, factory: Callable[[], Any], port: int) -> Any:
        """As `loop.create_connection`: a transport and its protocol. More than its bound no process may have."""
        who = loop.name
        self.open_at[who] += 1
        if self.open_at[who] > (bound := self.bound[who] + self.more):
            self.world.violate(f"{who} holds {self.open_at[who]} connections, its bound is {bound}")
        answer, asked_at = loop.create_future(), self.world.now
        self.world.later(2 * self.way_s(), self._answer, answer, port)
        try:
            await answer
        except BaseException:
            self.open_at[who] -= 1
            raise
        link = Link(self, loop, factory(), port, asked_at)
        link.protocol.connection_made(link)
        return link, link.protocol

    def _answer(self, answer: asyncio.Future[None], port: int) -> None:
        if answer.done() or self.hole:
            return
        if self.held:
            self.world.later(0.05, self._answer, answer, port)
        elif self.refusing or port in self.dead:
            answer.set_exception(ConnectionRefusedError(111, "Connect call failed"))
        else:
            self.passed_at = self.world.now
            answer.set_result(None)

    def quiet(self, who: str) -> bool:
        """Whether nothing of that process is on its way or lost: it knows what the server knows."""
        return not any(link.busy for link in self.links if link.who == who)

    def reset_all(self, of: SimLoop | None = None) -> None:
        """Every connection is reset, as when the server's process dies; or every one of a process."""
        for link in list(self.links):
            if of in (None, link.loop):
                link.reset()

    def half_close(self) -> None:
        """The server ends its half of every connection."""
        for link in list(self.links):
            link.reply(b"")

    def release(self) -> None:
        """What was held goes on; a connection that has lost packets is reset sooner or later."""
        self.hole = self.held = self.refusing = False
        links, self.unheard = [*self.links, *self.unheard], []
        for link in links:
            if link.lossy:
                self.world.later(self.random.uniform(0.1, 2), link.reset)
            for read in [link.server_reads] * len(link.to_server) + [link.client_reads] * len(link.to_client):
                read()


class Link(asyncio.Transport):
    """One connection: asyncio's transport for the client, `reply`, `drop` and `who` for the server.

    What the client writes waits in its own buffer, then in the kernel's until the server has read it.
    """

    def __init__(self, network: Network, loop: SimLoop, protocol: Any, port: int, asked_at: float) -> None:
        super().__init__()
        self.asked_at = asked_at  # for the connection
        self.network, self.loop, self.protocol, self.port, self.who = network, loop, protocol, port, loop.name
        self.window = network.random.choice((16_384, 65_536, 1_000_000))
        self.unsent, self.received, self._kernel = bytearray(), bytearray(), 0
        self.to_server: deque[Any] = deque()
        self.to_client: deque[Any] = deque()
        self._arrives = [0.0, 0.0]  # the last packet of each direction: none overtakes another
        self.gone = self.lossy = self._shut = False
        self._closing = self._paused = self._reading_off = self._reading_due = self._eof = False
        network.links[self] = None
        network.server.connected(self)

    # --- asyncio's side, and that of the socket -----------------------------------------------------------------------
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("10.0.0.1", 6379), "socket": self}.get(name, default)

    def setsockopt(self, *_: Any) -> None:
        """There is no kernel that would care."""

    def fileno(self) -> int:
        """There is no kernel to ask: `get_write_buffer_size` tells its share, too."""
        raise OSError("no file descriptor")

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return len(self.unsent) + self._kernel

    def write(self, data: Any) -> None:
        if self._closing or self.gone:
            return
        self.unsent += data
        self._push()
        if len(self.unsent) > HIGH and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def _push(self) -> None:
        count = min(len(self.unsent), self.window - self._kernel)
        if count > 0:
            self._kernel += count
            self.send(bytes(self.unsent[:count]))
            del self.unsent[:count]

    def pause_reading(self) -> None:
        self._reading_off = True

    def resume_reading(self) -> None:
        self._reading_off = False
        self._ask_to_read()

    def close(self) -> None:
        self._finish(None)

    abort = close

    def _finish(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self.network.open_at[self.who] -= 1
            if not self.gone:
                self.send(None)
            self.loop.call_soon(self.protocol.connection_lost, error)

    def _writable(self) -> None:
        if not self._closing:
            self._push()
            if self._paused and len(self.unsent) <= LOW:
                self._paused = False
                self.protocol.resume_writing()

    def _ask_to_read(self) -> None:
        if not (self._reading_due or self._closing or self._reading_off) and (self.received or self._eof):
            self._reading_due = True
            self.loop.io_ready(self._read)

    def _read(self) -> None:
        self._reading_due = False
        if self._closing or self._reading_off:
            return
        if self.received:
            self._hand_over()
            self._ask_to_read()
        elif not self.protocol.eof_received():
            self._finish(None)
        else:
            self._eof = False

    def _hand_over(self) -> None:
        chance, size = self.network.random, len(self.received)
        self.network.read_at[self.who] = self.network.world.now
        if chance.random() < self.network.split:
            size = chance.randint(1, size)
        if isinstance(self.protocol, asyncio.BufferedProtocol):
            room = memoryview(self.protocol.get_buffer(-1))
            size = min(size, len(room))
            room[:size] = self.received[:size]
            self.protocol.buffer_updated(size)
        else:
            self.protocol.data_received(bytes(self.received[:size]))
        del self.received[:size]

    # --- the network's side -------------------------------------------------------------------------------------------
    @property
    def busy(self) -> bool:
        """Whether bytes are on their way, or lost."""
        return self.lossy or bool(self.to_server or self.to_client or self.unsent or self.received)

    def send(self, data: bytes | None) -> None:
        """Client to server: bytes, or None for the end."""
        self._post(0, self.to_server, data, self.server_reads)

    def _post(self, way: int, pipe: deque[Any], data: bytes | None, arrive: Callable[[], None]) -> None:
        network = self.network
        self.lossy |= network.hole
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

    def server_reads(self) -> None:
        """The next packet arrives there, if any is on its way still."""
        self.lossy |= self.network.hole
        if self.gone or self.network.hole or self.network.held or not self.to_server:
            return
        data, self.network.passed_at = self.to_server.popleft(), self.network.world.now
        if data is None:
            self.vanish()
            return
        self._kernel -= len(data)
        if self.unsent:
            self.loop.io_ready(self._writable)
        self.network.server.received(self, data)

    def client_reads(self) -> None:
        """Likewise; no bytes are the server's end."""
        self.lossy |= self.network.hole
        if self.to_client and not (self.network.hole or self.network.held):
            data, self.network.passed_at = self.to_client.popleft(), self.network.world.now
            self.received += data
            self._eof |= not data
            self._ask_to_read()

    def reset(self) -> None:
        """Both ends are told; what was on the way to the server may or may not have arrived."""
        while not self.gone and self.to_server and self.to_server[0] is not None and self.network.random.random() < 0.5:
            self.network.server.received(self, self.to_server.popleft())
        if not self.gone:
            self.vanish()
        self.loop.io_ready(self._finish, ConnectionResetError(104, "Connection reset by peer"))

    def vanish(self) -> None:
        """The server has it no more, and what the client writes gets nowhere. Nobody tells the client."""
        self.gone = True
        self.network.ended[self.who] += 1
        self.network.links.pop(self, None)
        self.network.server.closed(self)

    # --- the server's side --------------------------------------------------------------------------------------------
    def reply(self, data: bytes) -> None:
        """Server to client; no bytes are the end of this half."""
        if not (self.gone or self._shut):
            self._shut = not data
            self._post(1, self.to_client, data, self.client_reads)

    def drop(self) -> None:
        """The server closes its side."""
        self.reply(b"")
        if not self.gone:
            self.vanish()
            self.network.unheard += [self] * self.lossy
