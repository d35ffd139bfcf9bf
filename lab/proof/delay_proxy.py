"""A TCP proxy on 127.0.0.1 that only delays what goes to the server: a network's round trip, at little cost of its own.

Run in a process of its own: `python -m lab.proof.delay_proxy TARGET_PORT DELAY_MS` prints the port it listens on. It
must not be the bottleneck of what is measured through it; for faults there is tcp_proxy.py.
"""

from __future__ import annotations

import asyncio
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
COARSE_S = 0.005  # from here on a timer may be a millisecond late, and a crowd of connections may come


class _End(asyncio.Protocol):
    """One end of a connection: what it receives goes to `deliver`."""

    def __init__(self, deliver: Callable[[bytes], object]) -> None:
        self.deliver = deliver
        self.other: asyncio.Transport | None = None

    def data_received(self, data: bytes) -> None:
        self.deliver(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()


class _Accepted(_End):
    """The client's end: connects to the server, and delivers `delay_s` late what the client sends."""

    def __init__(self, target_port: int, delay_s: float) -> None:
        super().__init__(self._later)
        self._target_port, self._delay_s = target_port, delay_s
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connect(transport))

    async def _connect(self, client: asyncio.BaseTransport) -> None:
        assert isinstance(client, asyncio.Transport)  # noqa: S101 - a TCP transport is one
        loop = asyncio.get_running_loop()
        self.other, server = await loop.create_connection(lambda: _End(client.write), HOST, self._target_port)
        server.other = client
        for data in self._early:
            self._later(data)

    def _later(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            asyncio.get_running_loop().call_later(self._delay_s, self.other.write, data)


async def serve(target_port: int, delay_s: float) -> None:
    """Listen on a free port, print it, forward for ever."""
    server = await asyncio.get_running_loop().create_server(
        lambda: _Accepted(target_port, delay_s), HOST, 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def delay_proxy(port: int, delay_ms: float) -> Iterator[int]:
    """The port to connect to: the server's own, or that of a proxy process in front of it."""
    if not delay_ms:
        yield port
        return
    command = [sys.executable, "-m", "lab.proof.delay_proxy", str(port), str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was given a PIPE
            yield int(process.stdout.readline())
        finally:
            process.kill()


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop with timers finer than a millisecond: epoll rounds up, select does not. Up to 1,000 sockets."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    delay = float(sys.argv[2]) / 1000
    with asyncio.Runner(loop_factory=precise_loop if delay < COARSE_S else None) as runner:
        runner.run(serve(int(sys.argv[1]), delay))
