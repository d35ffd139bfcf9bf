"""One instance: an app served on a port by uvicorn, until a signal ends it.

Must answer 404 rather than vanish when the app cannot be imported, and finish running work before it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import uvicorn

from lab.azure.functions_host.cors import Cors, CorsFrontend
from lab.azure.functions_host.docs_page import PAGE, DocsPage, with_docs
from lab.azure.functions_host.function_index import FunctionIndex, HostStartError, build_index
from lab.azure.functions_host.host import FunctionsHost
from lab.azure.functions_host.host_json import HostConfig
from lab.azure.functions_host.http_frontend import Keys
from lab.azure.functions_host.http_protocol import HostProtocol
from lab.azure.functions_host.worker.app import MODULE, Declared
from lab.azure.functions_host.worker.log_handler import EXPLAINED
from lab.azure.functions_host.worker_process import WorkerProcess

log = logging.getLogger("host")

BACKLOG = 2048
DRAIN_S = 10  # how long running requests may take after SIGTERM
MAX_HEAD = 128 * 1024  # bytes that h11 keeps of a head: above our own limits, which answer
KEEP_ALIVE_S = 130  # Kestrel's default


class PortTaken(OSError):
    """Somebody else listens on the port."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: `run_instance` has its own, which end the triggers too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises PortTaken."""
    # IPPROTO_TCP said aloud: only then does asyncio set TCP_NODELAY, without which a chunked response waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise PortTaken(f"port {port} of {host} cannot be used: {error}") from error
    return listener


def make_server(host: FunctionsHost, *, parser: Literal["h11", "httptools"] = "h11", application: Any = None) -> Server:
    """A uvicorn server for a host's HTTP functions, or for an ASGI application around them.

    `parser`: httptools takes a third of the time, but uvicorn then sends header names in lower case, unlike the host.
    """
    return Server(
        uvicorn.Config(
            application or host.frontend,
            http=HostProtocol if parser == "h11" else parser,
            h11_max_incomplete_event_size=MAX_HEAD,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )


def announce(path: Path, host: FunctionsHost, url: str, *, docs: bool = False) -> None:
    """Write, in one step, what is served where; whoever started this instance waits for the file."""
    draft = path.with_suffix(".draft")
    told = {"url": url, "pid": os.getpid(), "docs": f"{url}{PAGE}" if docs else None, **host.describe(url)}
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(path)


async def run_instance(
    folder: Path,
    listener: socket.socket,
    *,
    settings: Mapping[str, str],
    keys: Keys | None = None,
    cors: Cors | None = None,
    announce_to: Path | None = None,
) -> bool:
    """Serve the app in `folder` on `listener`, with a worker process, until SIGTERM or SIGINT: True. False if the
    worker ended too often. Raises HostJsonError or HostStartError.
    """
    address, port = listener.getsockname()[:2]
    config = HostConfig.load(folder, settings)
    log.info("%s", EXPLAINED)
    worker = WorkerProcess(folder, {**settings, **platform_settings(folder, port)})
    functions, error = await worker.start()
    try:
        served = [function for function in functions if config.serves(function.name)]
        index = FunctionIndex(errors={MODULE: error}) if error else build_index(served, settings)
        host = FunctionsHost(index, config, directory=folder, worker=worker, keys=keys, settings=settings)
    except HostStartError:
        worker.close()
        raise
    application = with_docs(host)
    outside = application if cors is None else CorsFrontend(application, cors)

    def started() -> None:
        if announce_to is not None:
            announce(announce_to, host, f"http://{address}:{port}", docs=isinstance(application, DocsPage))

    ended = asyncio.create_task(worker.gave_up.wait())
    await serve_until_signal(make_server(host, application=outside), host, listener, started, ended)
    return not worker.gave_up.is_set()


async def list_functions(folder: Path, settings: Mapping[str, str]) -> tuple[list[Declared], str]:
    """The functions of the app in `folder`, or why it has none; it is imported in a process of its own."""
    worker = WorkerProcess(folder, {**settings, **platform_settings(folder, 0)})
    try:
        return await worker.start()
    finally:
        worker.close()


def platform_settings(folder: Path, port: int) -> dict[str, str]:
    """What the real host tells its worker in the environment (measured with Core Tools)."""
    return {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "FUNCTIONS_WORKER_RUNTIME_VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
        "FUNCTIONS_EXTENSION_VERSION": "~4",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "AzureWebJobsScriptRoot": str(folder),
        "WEBSITE_HOSTNAME": f"localhost:{port}",
    }


async def serve_until_signal(
    server: Server,
    host: FunctionsHost,
    listener: socket.socket,
    started: Callable[[], None],
    ended: asyncio.Task[Any] | None = None,
) -> None:
    """Serve a host's functions until SIGTERM, SIGINT or `ended`, then finish what runs. `started` is called once it
    serves."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await host.start()
    started()
    reasons = [serving, asyncio.create_task(stopped.wait()), *([ended] if ended else [])]
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await asyncio.gather(serving, host.stop())
