"""A tiny shop on a real socket, which answers as a test tells it to. Knows nothing of the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

HOST = "127.0.0.1"
Answer = Callable[[int], Awaitable[web.Response]]


@dataclass
class Till:
    """`keys`: the Idempotency-Key of every request, in order. `busy`, `most_busy`: requests without an answer."""

    answer: Answer
    url: str = ""
    keys: list[str] = field(default_factory=list)
    requests: list[web.BaseRequest] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """One request; the answer is told which one it is."""
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        self.requests.append(request)
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        try:
            return await self.answer(len(self.keys) - 1)
        finally:
            self.busy -= 1


@asynccontextmanager
async def open_till(answer: Answer) -> AsyncIterator[Till]:
    """Serve on a free port."""
    till = Till(answer)
    runner = web.ServerRunner(web.Server(till.handle, access_log=None), handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    till.url = f"http://{HOST}:{runner.addresses[0][1]}"
    try:
        yield till
    finally:
        await runner.cleanup()


def accepted(number: int) -> web.Response:
    """202 with an order's id."""
    return web.json_response({"order_id": f"o-{number}"}, status=202)


def always(status: int, body: str = "", **headers: str) -> Answer:
    """The same answer to everything; an underscore in a header's name stands for a dash."""

    async def answer(_: int) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=body, headers=named)

    return answer


@asynccontextmanager
async def hang_up() -> AsyncIterator[str]:
    """A server that takes every connection and closes it without a word; gives its address."""

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(take, HOST, 0) as server:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
