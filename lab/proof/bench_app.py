"""What an order costs the app's process, and which part of the app costs it; and what its import costs.

The whole app serves HTTP in this process; its customers, Redis and Service Bus are other processes. Parts are added one
after the other, in interleaved rounds: a part costs what the CPU per order grows by when it is added. The host is the
lab's, which is lighter than Azure's worker: its `http` says nothing about Azure.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import azure.functions as func

from lab.azure.functions_host import FunctionsHost, HostConfig, index_app
from lab.azure.functions_host.server import listen, make_server
from lab.azure.redis_server import RedisServer
from lab.azure.service_bus import QueueConfig
from lab.azure.settings import ROOT
from lab.proof.fleet.bus_process import BusProcess
from lab.proof.fleet.forks import context, leashed
from lab.proof.fleet.instance import Group, of_group

CALLERS = 16
APP = "import function_app"
LIBRARIES = """
import azure.functions, redis.asyncio, pydantic
class Model(pydantic.BaseModel):
    number: int
"""  # what the app cannot do without

Advance = Callable[[], None]


def run(rounds: int, count: int, advance: Advance) -> dict[str, Any]:
    """Measure with servers of its own; `count` orders per part and round."""
    with RedisServer(appendonly=False) as server:
        measured = asyncio.run(_with_bus(server.url, rounds, count, advance))
    return {"cpu_us_per_order": costs(measured), "import_vs_libraries": imports(rounds, advance), "rounds": measured}


async def _with_bus(redis_url: str, rounds: int, count: int, advance: Advance) -> list[dict[str, float]]:
    async with BusProcess({"orders": QueueConfig()}) as bus:
        os.environ |= {"REDIS_URL": redis_url, "ServiceBusConnection": bus.connection_string, "ORDERS_QUEUE": "orders"}
        logging.getLogger("services").addHandler(logging.FileHandler(os.devnull))
        return await measure(rounds, count, advance)


async def measure(rounds: int, count: int, advance: Advance) -> list[dict[str, float]]:
    """Per round, microseconds of this process's CPU per order, with the parts up to each."""
    import function_app  # only now, with its settings in place
    from lab.proof.app_parts import PARTS, nothing, up_to
    from services import app_services
    from services.tickets.models import PutDrop

    measured: list[dict[str, float]] = []
    shared = app_services.shared
    async with placing(count, advance) as place, served(nothing) as empty, served(function_app.app) as whole:
        await shared.order_store.put_drop("bench", PutDrop(stock=10**6, per_customer=1))
        await place(whole)  # opens the sessions
        for _ in range(rounds):
            row = {"http": await place(empty)}
            for part in PARTS[1:]:
                with up_to(part):
                    row[part] = await place(whole)
            measured.append(row)
    await shared.queue_service.aclose()
    await shared.redis_service.aclose()
    return measured


@asynccontextmanager
async def placing(count: int, advance: Advance) -> AsyncIterator[Callable[[str], Awaitable[float]]]:
    """Has `count` orders placed at an address by another process: microseconds of this process's CPU per order."""
    ours, theirs = context.Pipe()
    process = context.Process(target=customers, args=(theirs,))
    process.start()
    numbers = itertools.count(step=count)

    async def place(address: str) -> float:
        began = time.process_time()
        ours.send((address, next(numbers), count))
        await asyncio.to_thread(ours.recv)
        spent = time.process_time() - began
        advance()  # which draws
        return spent / count * 1e6

    yield place
    ours.send(None)
    process.join()


@asynccontextmanager
async def served(app: func.FunctionApp) -> AsyncIterator[str]:
    """The address of an app's HTTP functions, served on this event loop."""
    index = of_group(index_app(app, os.environ), Group.HTTP)
    host = FunctionsHost(index, HostConfig.load(ROOT, os.environ), directory=ROOT)
    listener = listen("127.0.0.1", 0)
    server = make_server(host, parser="httptools")
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    finally:
        server.should_exit = True
        await serving


def customers(channel: Connection) -> None:
    """Another process: is told (address, first order's number, how many), and says when all are placed."""
    leashed()
    while shown := channel.recv():
        channel.send(asyncio.run(_place(*shown)))


async def _place(address: str, first: int, count: int) -> int:
    numbers = iter(range(first, first + count))

    async def customer(client: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = {"customer_id": f"customer-{number}", "quantity": 1}
            headers = {"Idempotency-Key": f"order-{number}"}
            async with client.post(f"{address}/drops/bench/orders", json=body, headers=headers) as answer:
                if answer.status != 202:
                    raise RuntimeError(f"an order was answered {answer.status}: {await answer.text()}")

    async with aiohttp.ClientSession() as client:
        await asyncio.gather(*(customer(client) for _ in range(CALLERS)))
    return count


def costs(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Microseconds of CPU per order, the medians over the rounds: of each part, and of the app as it ships (no log)."""
    parts = list(rounds[0])
    found = {parts[0]: statistics.median(row[parts[0]] for row in rounds)}
    for before, part in itertools.pairwise(parts):
        found[part] = statistics.median(row[part] - row[before] for row in rounds)
    found["as it ships"] = statistics.median(row["send"] for row in rounds)
    return {name: round(value, 1) for name, value in found.items()}


def imports(rounds: int, advance: Advance) -> float:
    """CPU seconds of `import function_app` over those of its libraries, each in a fresh process: the median."""
    quotients = []
    for _ in range(rounds):
        quotients.append(_cpu_of(APP) / _cpu_of(LIBRARIES))
        advance()
    return round(statistics.median(quotients), 3)


def _cpu_of(code: str) -> float:
    timed = f"import time\nbegan = time.process_time()\n{code}\nprint(time.process_time() - began)"
    shown = subprocess.run([sys.executable, "-c", timed], cwd=ROOT, capture_output=True, check=True, text=True)
    return float(shown.stdout)
