"""`python -m lab status`: which parts of the running lab answer, where they are, and how many messages wait.

Must never show a connection string, and must not wait for ever for a part that is silent.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator

import httpx

from lab.azure.dead_letters import listed
from lab.azure.greeting import redis_place
from lab.azure.outage import admin
from lab.azure.queue_target import QueueTarget, endpoint
from lab.azure.service_bus_connection import ServiceBusConnection
from lab.azure.service_bus_errors import readable_errors
from lab.azure.state_file import LabState, add_state_argument, running
from lab.azure.up import why_not_ready

ANSWER_S = 6.0
BUS_S = 12.0
MOST = 1000  # messages that are counted one by one

HELP = "which parts of the running lab answer"
DESCRIPTION = "Show which parts of the running lab answer, their addresses, and what waits on the queue."
EXAMPLES = """\
examples:
  python -m lab status  from a second terminal, while the lab runs"""


class Silent(Exception):
    """A part does not answer as it should; the message says how."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_state_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Print one line per part; returns 1 if one does not answer or no lab runs."""
    code = 1
    with readable_errors():
        state = running(options.state)
        code = 0
        for name, place, ask in parts(state):
            try:
                said = ask(state)
            except Silent as trouble:
                said, code = str(trouble), 1
            print(f"{name:<12} {place:<24} {' '.join(said.split())}", flush=True)
    return code


def parts(state: LabState) -> Iterator[tuple[str, str, Callable[[LabState], str]]]:
    """Name, place and question of each part."""
    if state.url:
        yield "app", state.url, app
    yield "Redis", redis_place(state.redis_url), redis
    yield "Service Bus", endpoint(state.service_bus), service_bus


def app(state: LabState) -> str:
    """What its readiness says; an app without one has no such answer. Raises Silent."""
    try:
        answer = httpx.get(f"{state.url}/api/health/ready", timeout=ANSWER_S, trust_env=False)
    except httpx.TransportError as error:
        raise Silent(f"does not answer ({type(error).__name__})") from error
    if reason := why_not_ready(answer):
        raise Silent(f"not ready: {reason}")
    return "ready" if answer.is_success else f"answers (readiness: {answer.status_code})"


def redis(state: LabState) -> str:
    """Its clients without this command's own, its keys, and whether it takes writes. Raises Silent."""
    try:
        with admin(state.redis_url) as client:
            clients, replication = client.info("clients"), client.info("replication")
            keys, of = client.dbsize(), ""
            if client.info("cluster")["cluster_enabled"]:
                info = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call] # redis-py's
                of = f", one of {info['cluster_size']} primaries"
    except OSError as error:
        raise Silent(f"does not answer ({error})") from error
    said = f"{clients['connected_clients'] - 1} of at most {clients['maxclients']} clients, {keys} keys{of}"
    if replication["role"] != "master":
        raise Silent(f"{said}, READ-ONLY")
    return said


def service_bus(state: LabState) -> str:
    """How many messages wait or are being handled, and how many were given up. Raises Silent."""
    from azure.servicebus.exceptions import ServiceBusError

    try:
        waiting, dead = asyncio.run(depths(state))
    except (ServiceBusError, OSError, TimeoutError, ValueError) as error:
        raise Silent(f"does not answer ({type(error).__name__})") from error
    return f"queue '{state.queue}': {counted(waiting)} not completed, {counted(dead)} dead letters"


async def depths(state: LabState) -> tuple[int, int]:
    """The messages of the queue and of its dead-letter queue. Raises TimeoutError and the SDK's errors."""
    target = QueueTarget(ServiceBusConnection(state.service_bus), state.queue, "the running lab")
    async with asyncio.timeout(BUS_S):
        return len(await listed(target, MOST, dead=False)), len(await listed(target, MOST))


def counted(number: int) -> str:
    return f"{number} or more" if number == MOST else str(number)
