"""One instance of the app, as a process: only its scale group's triggers, and sessions of its own.

On Flex Consumption all HTTP functions scale as one group and each Service Bus function as another; every instance loads
the whole app. It never outlives the lab, not even while it is stopped (SIGSTOP).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path

from lab.azure.functions_host import FunctionIndex, FunctionsHost, HostConfig, index_folder
from lab.azure.functions_host.server import listen, make_server, serve_until_signal
from lab.proof.fleet.forks import leashed

HOST = "127.0.0.1"


class Group(StrEnum):
    """A scale group of Flex Consumption."""

    HTTP = "http"
    FULFILMENT = "fulfilment"


@dataclass(frozen=True)
class Task:
    """What an instance is to be. `prepare` is called before the app is imported; both it and this must pickle."""

    folder: Path
    log: Path
    settings: Mapping[str, str] = field(repr=False)
    prepare: Callable[[], None] | None = None


def become(task: Task, group: Group, channel: Connection) -> None:
    """Be an instance until SIGTERM. Sends its port over `channel` once it serves, or why it cannot, as a str."""
    leashed()
    _log_to(task.log)
    warnings.simplefilter("ignore")  # the other strategies leave behind what Python warns of
    os.environ.update(task.settings)
    try:
        if task.prepare is not None:
            task.prepare()
        asyncio.run(_live(task, group, channel))
    except BaseException as error:
        logging.getLogger("instance").exception("ended")
        channel.send(f"{type(error).__name__}: {error}")
        raise
    finally:
        os._exit(0)  # at once: threads of sync functions, or a strategy's open sockets, are nobody's to wait for


def of_group(index: FunctionIndex, group: Group) -> FunctionIndex:
    if group is Group.HTTP:
        return dataclasses.replace(index, service_bus=())
    return dataclasses.replace(index, http=())


async def _live(task: Task, group: Group, channel: Connection) -> None:
    index = of_group(index_folder(task.folder, task.settings), group)
    config = HostConfig.load(task.folder, task.settings)
    if index.errors:
        raise RuntimeError("; ".join(f"{name}: {reason}" for name, reason in index.errors.items()))
    host = FunctionsHost(index, config, directory=task.folder)
    listener = listen(HOST, 0)
    server = make_server(host, parser="httptools")  # behind the front, which has its own idea of header names
    await serve_until_signal(server, host, listener, lambda: channel.send(listener.getsockname()[1]))


def _log_to(file: Path) -> None:
    logging.basicConfig(
        filename=file, level=logging.WARNING, format="%(asctime)s %(process)d %(levelname)s [%(name)s] %(message)s"
    )
    for noisy in ("azure.servicebus", "asyncio"):  # tracebacks of what is logged in a line, or counted as a failure
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
