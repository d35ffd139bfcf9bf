"""The local Service Bus as a whole: starts, stops, and shows what a test or a tool wants to know."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import TypeVar

from .config import load
from .connection import Connection
from .faults import Faults
from .limits import IDLE_S
from .queue_config import QueueConfig
from .service import Service
from .tokens import PutToken

log = logging.getLogger(__name__)
T = TypeVar("T")

TICK_S = 0.02  # how late an expiry or a schedule may be noticed
BEATS_EVERY = 25  # ticks
# Bytes. azure-servicebus.aio before 7.14 reads its socket's segment size and sets it again, which Linux refuses above
# 32,767; on loopback it is more unless the listener asks for less.
MAX_SEGMENT = 32_000
WAIT_S = 10.0  # for the broker's own thread


class LocalServiceBus:
    """A namespace of queues, served over AMQP 1.0 to the real azure-servicebus SDK.

    Runs on the loop that is there (`async with LocalServiceBus(...)`), or on a thread of its own (`with ...`, or
    `start` and `stop`). Every method may be called from any thread.

    `queues` are names, or maps names to settings; left out, the shipped `Config.json` is read. Port 0 picks a free one,
    see `port`. `require_tokens` makes queues demand a token put through `$cbs`. `ssl_context` serves TLS. `idle_s` is
    the announced idle time-out. `clock` gives seconds since 1970.

    How a client reaches it:

    - with a connection string: `connection_string` has `UseDevelopmentEmulator=true`, on which the SDK (from 7.14 on)
      drops TLS and keeps the port. Older ones need TLS on port 5671, and `connection_verify=CA_FILE`. It
      signs SAS tokens itself and never asks a credential.
    - with a credential: `ServiceBusClient(broker.address, credential, use_tls=False)`. `use_tls` is the undocumented
      keyword that the emulator flag sets; without it the SDK strips the port from the namespace and uses 5671 over TLS.
      The token is asked for the scope `https://servicebus.azure.net//.default`, once per link's connection.
    - with a credential and TLS: `ServiceBusClient("localhost", credential, custom_endpoint_address=f"sb://{address}",
      transport_type=TransportType.Amqp, connection_verify=CA_FILE)`. Without the transport type a custom endpoint means
      WebSockets, which this broker does not speak.

    The SDK renews a token in the last tenth of its life, counted in whole seconds, and only while it sends or receives:
    one of under 10 s is never renewed, it runs out and the link is opened anew.
    """

    def __init__(
        self,
        queues: Mapping[str, QueueConfig] | Iterable[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        require_tokens: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        idle_s: float = IDLE_S,
        max_connections: int = 5000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.host, self.port = host, port
        self._ssl, self._idle_s = ssl_context, idle_s
        settings = load() if queues is None else queues
        if not isinstance(settings, Mapping):
            settings = {name: QueueConfig() for name in settings}
        self._service = Service(settings, clock, require_tokens=require_tokens, max_connections=max_connections)
        self.faults = Faults(self._service, self._call)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._loop_thread = 0

    # --- life ---------------------------------------------------------------------------------------------------------
    async def __aenter__(self) -> LocalServiceBus:
        await self._open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    def __enter__(self) -> LocalServiceBus:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> LocalServiceBus:
        """Serve on a thread of its own; returns once it listens. Raises OSError if the port is taken."""
        if self._thread is not None or self._loop is not None:
            raise RuntimeError("This broker runs already: stop it first, or make another one.")
        listening: Future[None] = Future()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(listening),), name="local-service-bus", daemon=True
        )
        self._thread.start()
        try:
            listening.result(WAIT_S)
        except BaseException:
            self._thread = None
            raise
        return self

    def stop(self) -> None:
        """Cut every connection and end the thread; nothing happens if it does not run."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            thread.join(WAIT_S)

    async def _serve(self, listening: Future[None]) -> None:
        try:
            await self._open()
        except BaseException as failure:  # noqa: BLE001  # handed to the thread that waits for it
            listening.set_exception(failure)
            return
        self._stopped = asyncio.Event()
        listening.set_result(None)
        await self._stopped.wait()
        await self._close()

    async def _open(self) -> None:
        if self._loop is not None:
            raise RuntimeError("This broker runs already: stop it first, or make another one.")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._service, self._idle_s), self.host, self.port, ssl=self._ssl, start_serving=False
        )
        with contextlib.suppress(OSError, AttributeError):  # not every system can
            for listening in self._server.sockets:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MAX_SEGMENT)
        await self._server.start_serving()
        self._loop, self._loop_thread = loop, threading.get_ident()
        self.port = self._server.sockets[0].getsockname()[1]
        self._ticker = asyncio.create_task(self._tick())

    async def _close(self) -> None:
        self._server.close()
        self._ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticker
        for connection in list(self._service.connections):
            connection.cut()
        await asyncio.sleep(0)  # lets the cut connections close their sockets
        self._loop = None

    async def _tick(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(TICK_S)
            beats += 1
            try:
                self._service.tick()
                if beats % BEATS_EVERY == 0:
                    self._service.beat()
            except Exception:  # the clock must go on
                log.exception("a tick failed")

    def _call(self, function: Callable[[], T]) -> T:
        """Run a function where the broker runs; here, if it does not run."""
        if self._loop is None or threading.get_ident() == self._loop_thread:
            return function()

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(WAIT_S)

    # --- what it knows ------------------------------------------------------------------------------------------------
    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def connection_string(self) -> str:
        """For `ServiceBusClient.from_connection_string`. The key is made up and opens nothing else."""
        emulator = "" if self._ssl else "UseDevelopmentEmulator=true;"
        return f"Endpoint=sb://{self.address};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=local;{emulator}"

    @property
    def queues(self) -> list[str]:
        return [name for name, queue in self._service.queues.items() if queue.dead is not None]

    @property
    def connections(self) -> int:
        return self._call(lambda: len(self._service.connections))

    @property
    def links(self) -> int:
        return self._call(lambda: len(self._service.links))

    @property
    def put_tokens(self) -> list[PutToken]:
        """The last 10,000 put-token calls, oldest first."""
        return self._call(lambda: list(self._service.tokens.history))

    @property
    def put_token_count(self) -> int:
        return self._call(lambda: self._service.tokens.count)

    def stats(self, queue: str) -> dict[str, int]:
        """How many messages of a queue are active (locked ones included), locked, scheduled, deferred and dead, and
        how many were ever completed or dropped as duplicates. Raises KeyError for an unknown queue."""
        return self._call(self._service.queues[queue.lower()].stats)

    def remember_completed(self) -> None:
        """From now on `completed` knows which messages were completed; it grows with each."""

        def remember() -> None:
            self._service.namespace.completed = set()

        self._call(remember)

    def completed(self) -> set[str]:
        """The MessageIds of the messages completed since `remember_completed`."""
        return self._call(lambda: set(self._service.namespace.completed or ()))
