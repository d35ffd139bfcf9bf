"""The local Service Bus of a test, the two ways to sign in to it, and what it has stored."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from lab.azure.service_bus import Broker, QueueConfig
from services.identity import SharedCredential
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from tests.logged import complaints_of_asyncio
from tests.waiting import until

QUEUES = {"orders": QueueConfig(duplicate_window_s=600), "plain": QueueConfig(), "small": QueueConfig(max_messages=1)}
HTTP_S = 2.5  # what a request has for Redis and the send (design: the defaults table)


class Clock:
    """Wall-clock time that a test can move on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class Credential:
    """A synchronous token credential whose tokens last `life_s` seconds by `clock`."""

    def __init__(self, clock: Callable[[], float] = time.time, life_s: float = 3600) -> None:
        self.clock, self.life_s, self.scopes = clock, life_s, list[str]()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        self.scopes += scopes
        self.may_answer.wait(20)
        return AccessToken(f"s3cret-token-{len(self.scopes)}", int(self.clock() + self.life_s))


def as_identity(broker: Broker, credential: Credential) -> ServiceBusConnection:
    options = {"use_tls": False}  # the local Service Bus speaks plain AMQP here; see its docstring
    return ServiceBusConnection(
        namespace=broker.address, credential=lambda: SharedCredential(credential), options=options
    )


def by_string(broker: Broker) -> ServiceBusConnection:
    return ServiceBusConnection(connection_string=broker.connection_string)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(QUEUES, require_tokens=True) as running:
        yield running


OpenQueue = Callable[..., QueueService]


@pytest.fixture
async def open_queue(caplog: pytest.LogCaptureFixture) -> AsyncIterator[OpenQueue]:
    """Makes sessions; afterwards they have left no task, no thread of theirs, no socket and no unread exception."""
    caplog.set_level(logging.DEBUG)
    before, sockets = asyncio.all_tasks(), open_sockets()
    made: list[QueueService] = []

    def make(connection: ServiceBusConnection, name: str | None = "orders") -> QueueService:
        made.append(QueueService(connection, name))
        return made[-1]

    yield make
    for queue in made:
        await queue.aclose()
    await asyncio.sleep(0.01)  # aborted transports close their sockets in the loop's next turns
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}
    assert "service bus token" not in {thread.name for thread in threading.enumerate()}
    await until(lambda: open_sockets() <= sockets)
    gc.collect()
    assert complaints_of_asyncio(caplog) == []


@pytest.fixture(params=["connection string", "identity"])
def connection(request: pytest.FixtureRequest, broker: Broker) -> ServiceBusConnection:
    return by_string(broker) if request.param == "connection string" else as_identity(broker, Credential())


def open_sockets() -> int:
    """How many sockets this process has open, those of the broker's thread included."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            count += str(link.readlink()).startswith("socket:")
    return count


def stored(broker: Broker, name: str = "orders") -> list[str]:
    """The ids of what is on the queue, in its order, looked up in the broker: a receiver takes a second to open."""
    return broker._call(lambda: [entry.content.message_id for entry in broker._service.queues[name].peek(0, 1000)])


async def receive(broker: Broker, name: str = "orders") -> ServiceBusReceivedMessage:
    """The first message, as a receiver sees it."""
    client = ServiceBusClient.from_connection_string(broker.connection_string)
    async with client, client.get_queue_receiver(name, socket_timeout=0.02) as receiver:
        [message] = await receiver.peek_messages(1)
        return message


def count(broker: Broker, name: str = "orders") -> int:
    """How many messages are on the queue."""
    return broker.stats(name)["active"]
