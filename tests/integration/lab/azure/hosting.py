"""A light host on a real socket, in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import azure.functions as func
import httpx

from lab.azure.functions_host import FunctionsHost, HostConfig, index_app
from lab.azure.functions_host.docs_page import with_docs
from lab.azure.functions_host.http_frontend import Keys
from lab.azure.functions_host.server import listen, make_server

MASTER = "s3cret-master"


@dataclass
class Served:
    """A running host and a client for it."""

    host: FunctionsHost
    port: int
    http: httpx.AsyncClient

    async def raw(self, request: bytes) -> bytes:
        """Everything the host answers to raw bytes on a connection of their own, up to its end or 2 s of silence."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        answer = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while part := await reader.read(65536):
                    answer += part
        writer.close()
        await writer.wait_closed()
        return answer


@contextlib.asynccontextmanager
async def serving(
    app: func.FunctionRegister,
    *,
    config: HostConfig | None = None,
    settings: dict[str, str] | None = None,
    key: str | None = None,
    docs: bool = False,
) -> AsyncIterator[Served]:
    index = index_app(app, settings or {})
    keys = Keys(key, MASTER if key else None)
    host = FunctionsHost(index, config or HostConfig(), directory=Path.cwd(), keys=keys, settings=settings)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = make_server(host, application=with_docs(host) if docs else None)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await host.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        try:
            yield Served(host, port, client)
        finally:
            server.should_exit = True
            await asyncio.gather(running, host.stop())
