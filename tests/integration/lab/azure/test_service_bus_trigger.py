"""The Service Bus trigger with the real SDK against the local Service Bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from lab.azure.functions_host import FunctionsHost, HostConfig, ServiceBusOptions, index_app
from tests.integration.lab.azure.conftest import Bus
from tests.waiting import until

# The SDK (7.15) drops the sockets of broken connections unclosed, and Python says so wherever it collects them.
breaks_connections = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
Handler = Callable[[func.ServiceBusMessage], Awaitable[None]]


def app_with(handler: Handler, queue: str) -> func.FunctionApp:
    app = func.FunctionApp()

    @app.route(route="x")  # an app without HTTP makes azure-functions warn
    def unused(req: func.HttpRequest) -> str:
        return ""

    @app.service_bus_queue_trigger(arg_name="message", queue_name=queue, connection="Bus")
    async def fulfil(message: func.ServiceBusMessage) -> None:
        await handler(message)

    return app


def noting(bodies: list[str]) -> Handler:
    """A function that only notes what it was given."""

    async def handler(message: func.ServiceBusMessage) -> None:
        bodies.append(message.get_body().decode())

    return handler


@contextlib.asynccontextmanager
async def receiving(
    bus: Bus, handler: Handler, *, queue: str = "orders", config: HostConfig | None = None
) -> AsyncIterator[FunctionsHost]:
    index = index_app(app_with(handler, queue), {"Bus": bus.broker.connection_string})
    host = FunctionsHost(index, config or HostConfig(), directory=Path.cwd())
    await host.start()
    try:
        yield host
    finally:
        await host.stop(10)


def options(**changes: float) -> HostConfig:
    return HostConfig(service_bus=ServiceBusOptions(**changes))  # type: ignore[arg-type]  # ints and floats by name


async def test_every_message_is_handled_once_and_completed(bus: Bus) -> None:
    seen: list[str] = []
    await bus.send(*(str(number) for number in range(200)))
    async with receiving(bus, noting(seen)):
        await bus.until(completed=200, active=0, dead=0)
    assert sorted(seen, key=int) == [str(number) for number in range(200)]


async def test_a_message_whose_function_raises_is_delivered_ten_times_and_dead_lettered(bus: Bus) -> None:
    deliveries = []

    async def handler(message: func.ServiceBusMessage) -> None:
        deliveries.append(message.delivery_count)
        raise ValueError("not an order")

    await bus.send("{}")
    async with receiving(bus, handler):
        await bus.until(dead=1, active=0)
    assert deliveries == list(range(1, 11))


async def test_no_more_calls_run_at_once_than_host_json_allows(bus: Bus) -> None:
    running, most = 0, 0

    async def handler(message: func.ServiceBusMessage) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    await bus.send(*(str(number) for number in range(40)))
    async with receiving(bus, handler, config=options(max_concurrent_calls=3)):
        await bus.until(completed=40)
    assert most == 3


async def test_no_message_is_held_for_which_there_is_no_room(bus: Bus) -> None:
    release = asyncio.Event()

    async def handler(message: func.ServiceBusMessage) -> None:
        await release.wait()

    await bus.send("1", "2", "3", "4")
    async with receiving(bus, handler, config=options(max_concurrent_calls=2)):
        await bus.until(locked=2)
        await asyncio.sleep(0.3)  # time in which a third would have been taken
        assert bus.broker.stats("orders")["locked"] == 2
        release.set()
        await bus.until(completed=4)


async def test_a_lock_is_renewed_while_the_function_runs(bus: Bus) -> None:
    deliveries = 0

    async def handler(message: func.ServiceBusMessage) -> None:
        nonlocal deliveries
        deliveries += 1
        await asyncio.sleep(3.5)  # the lock alone lasts 2 s

    await bus.send("long", queue="brief")
    async with receiving(bus, handler, queue="brief"):
        await bus.until("brief", completed=1)
    assert deliveries == 1


async def test_a_lock_is_not_renewed_for_longer_than_host_json_allows(bus: Bus) -> None:
    deliveries = 0

    async def handler(message: func.ServiceBusMessage) -> None:
        nonlocal deliveries
        deliveries += 1
        if deliveries == 1:
            await asyncio.sleep(3)

    await bus.send("long", queue="brief")
    async with receiving(bus, handler, queue="brief", config=options(max_auto_lock_renewal_s=0)):
        await bus.until("brief", completed=1)
    assert deliveries == 2


async def test_a_function_over_its_time_out_is_abandoned(bus: Bus) -> None:
    async def handler(message: func.ServiceBusMessage) -> None:
        if message.delivery_count == 1:
            await asyncio.sleep(60)

    await bus.send("slow")
    async with receiving(bus, handler, config=HostConfig(function_timeout_s=0.1)):
        await bus.until(completed=1)


async def test_without_auto_complete_a_message_stays_locked(bus: Bus) -> None:
    called = asyncio.Event()

    async def handler(message: func.ServiceBusMessage) -> None:
        called.set()

    await bus.send("{}")
    async with receiving(bus, handler, config=options(auto_complete=False)):
        await asyncio.wait_for(called.wait(), 10)
        await asyncio.sleep(0.3)  # time in which it would have been completed
        assert bus.broker.stats("orders")["locked"] == 1


async def test_stopping_finishes_and_settles_what_runs_and_takes_nothing_new(bus: Bus) -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def handler(message: func.ServiceBusMessage) -> None:
        began.set()
        await release.wait()

    await bus.send("first")
    async with receiving(bus, handler) as host:
        await asyncio.wait_for(began.wait(), 10)
        stopping = asyncio.create_task(host.stop(10))
        await asyncio.sleep(1.2)  # longer than one idle receive
        await bus.send("second")
        release.set()
        await stopping
    assert {name: bus.broker.stats("orders")[name] for name in ("completed", "active")} == {"completed": 1, "active": 1}


@breaks_connections
@pytest.mark.usefixtures("leaky_sdk")
@pytest.mark.parametrize("fault", ["cut_connections", "detach_links"])
async def test_a_lost_connection_is_opened_again(bus: Bus, fault: str) -> None:
    seen: list[str] = []
    async with receiving(bus, noting(seen)):
        await bus.send("before")
        await bus.until(completed=1)
        getattr(bus.broker.faults, fault)()
        await bus.send("after")
        await bus.until(completed=2, active=0)
    assert seen == ["before", "after"]


@breaks_connections
@pytest.mark.usefixtures("leaky_sdk")
async def test_it_survives_service_bus_going_away_and_coming_back(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    async with receiving(bus, noting(seen)):
        await bus.send("before")
        await bus.until(completed=1)
        bus.broker.stop()
        await until(lambda: "trying again" in caplog.text)
        await asyncio.sleep(1)  # some attempts that fail
        bus.broker.start()
        async with ServiceBusClient.from_connection_string(bus.broker.connection_string) as later:
            await Bus(bus.broker, later).send("after")
        await bus.until(completed=2, active=0)
    assert seen == ["before", "after"]
    assert caplog.text.count("trying again") == 1  # one line, not one per attempt


@breaks_connections
@pytest.mark.usefixtures("leaky_sdk")
async def test_a_call_whose_connection_was_lost_is_not_settled_over_the_next_one(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()
    deliveries: Counter[str] = Counter()

    async def handler(message: func.ServiceBusMessage) -> None:
        body = message.get_body().decode()
        deliveries[body] += 1
        if deliveries[body] == 1 and body == "held":
            await release.wait()

    await bus.send("held", queue="brief")
    async with receiving(bus, handler, queue="brief"):
        await bus.until("brief", locked=1)
        bus.broker.faults.cut_connections()
        await bus.send("other", queue="brief")
        await bus.until("brief", completed=1)
        release.set()
        await bus.until("brief", completed=2, active=0, dead=0)
    assert deliveries == Counter(held=2, other=1)
    assert "its connection was lost meanwhile" in caplog.text


async def test_the_callers_trace_travels_in_the_application_properties(bus: Bus) -> None:
    seen: list[str] = []
    app = func.FunctionApp()

    @app.route(route="x")
    def unused(req: func.HttpRequest) -> str:
        return ""

    @app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="Bus")
    def fulfil(message: func.ServiceBusMessage, context: func.Context) -> None:
        seen.append(context.trace_context.trace_parent)

    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    await bus.send(ServiceBusMessage("{}", application_properties={"Diagnostic-Id": parent}))
    host = FunctionsHost(
        index_app(app, {"Bus": bus.broker.connection_string}),
        HostConfig(),
        directory=Path.cwd(),
    )
    await host.start()
    await bus.until(completed=1)
    await host.stop()
    assert seen == [parent]


async def test_an_idle_trigger_holds_one_connection_and_stops_by_itself(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(bus, noting([])) as host:
        await bus.send("{}")
        await bus.until(completed=1)
        await until(lambda: bus.broker.connections == 1)  # the sender's own goes
        await host.stop()
    assert "did not finish in time" not in caplog.text


async def test_a_call_is_logged_with_its_message_and_its_delivery(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "host"):
        await bus.send(ServiceBusMessage('{"card": "4111"}', message_id="m-1"))
        async with receiving(bus, noting([])):
            await bus.until(completed=1)
    assert "Executing 'Functions.fulfil' (Reason='New message in 'orders': MessageId m-1, delivery 1'" in caplog.text
    assert "4111" not in caplog.text
