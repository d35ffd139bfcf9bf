"""Runs a spike's coroutine from a command: a signal ends it in order, and errors are reported in one line."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lab.azure.redis_server import RedisServerError
from lab.proof.fleet.bus_process import BusError
from lab.proof.fleet.fleet import FleetError
from lab.proof.outcome import Parameters
from lab.proof.spike.progress import Progress
from lab.proof.spike.run import SpikeError
from lab.proof.spike.stage import Plan
from lab.proof.tasks import end_all
from services.errors import OverBudget

T = TypeVar("T")
OPEN_FILES = 20_000  # a connection per waiting order, twice: customers and front are one process


def plan_of(parameters: Parameters) -> Plan:
    """The stage for a spike: half of the instances take messages."""
    half = parameters.instances // 2
    return Plan(
        http=parameters.instances - half,
        fulfilment=max(1, half),
        client_limit=parameters.client_limit,
        strategy=parameters.strategy,
    )


def run_until_signal(work: Coroutine[Any, Any, T]) -> T:
    """Run it; Ctrl-C and SIGTERM cancel it, so that it takes down what it put up. Raises KeyboardInterrupt then."""
    allow_open_files()

    async def bounded() -> T:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stopped.wait())
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        await end_all([stopping] if task.done() else [stopping, task])
        if task.cancelled():
            raise KeyboardInterrupt
        return task.result()

    return asyncio.run(bounded())


def allow_open_files() -> None:
    """Raise the soft limit as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def carried_out(work: Coroutine[Any, Any, T], progress: Progress, report: Callable[[T], bool]) -> int:
    """A command's exit code: 1 if `report` says that something is broken; 2 if it could not run, with why in a line.

    A signal ends it in order, too.
    """
    try:
        found = run_until_signal(work)
        progress.done()
        return 1 if report(found) else 0
    except (OverBudget, FleetError, RedisServerError, BusError, SpikeError) as error:
        progress.done()
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        progress.done()
        print("stopped; everything that was started has ended", file=sys.stderr)
    return 2
