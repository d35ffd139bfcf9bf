"""The faults a test may ask the broker for, seen through the real SDK, and what does not need asking: beats."""

from __future__ import annotations

import time

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import OperationTimeoutError, ServiceBusError, ServiceBusServerBusyError

from lab.azure.service_bus import Broker, QueueConfig
from tests.integration.lab.azure.service_bus.clients import Client, connect, leaks, take
from tests.integration.lab.azure.service_bus.clock import Clock
from tests.integration.lab.azure.service_bus.conftest import QUEUES
from tests.waiting import until


@leaks
async def test_refused_sends_are_retried_and_then_succeed(client: Client, broker: Broker) -> None:
    broker.faults.refuse_sends(2)
    await client.send("orders", ServiceBusMessage("x"))
    assert broker.stats("orders")["active"] == 1


@leaks
async def test_a_refused_send_raises_by_its_condition(broker: Broker, kind: str) -> None:
    client = connect(kind, broker.connection_string, retry_total=0)
    broker.faults.refuse_sends(1)
    with pytest.raises(ServiceBusServerBusyError):
        await client.send("orders", ServiceBusMessage("x"))
    assert broker.stats("orders")["active"] == 0
    await client.close()


@leaks
@pytest.mark.parametrize(("queue", "stored"), [("orders", 2), ("once", 1)])
async def test_a_cut_after_storing_makes_the_sdk_send_again(
    client: Client, broker: Broker, queue: str, stored: int
) -> None:
    """Two copies without duplicate detection, one with it."""
    broker.faults.cut_after_storing(1)
    await client.send(queue, ServiceBusMessage("x", message_id="m1"))
    assert broker.stats(queue)["active"] == stored


async def test_a_confirmation_waits_for_its_latency(client: Client, broker: Broker) -> None:
    async with client.sender("orders") as sender:
        broker.faults.delay_confirmations(0.3)
        started = time.monotonic()
        await sender.send_messages(ServiceBusMessage("x"))
        assert time.monotonic() - started >= 0.3


@leaks
async def test_a_mute_broker_runs_a_send_into_its_timeout(client: Client, broker: Broker) -> None:
    async with client.sender("orders") as sender:
        broker.faults.mute()
        with pytest.raises((OperationTimeoutError, ServiceBusError)):
            await sender.send_messages(ServiceBusMessage("x"), timeout=0.5)
        broker.faults.unmute()
        await sender.send_messages(ServiceBusMessage("y"))
    assert broker.stats("orders")["active"] == 1


@leaks
async def test_a_forced_detach_is_survived_by_sender_and_receiver(client: Client, broker: Broker) -> None:
    async with client.sender("orders") as sender, client.receiver("orders") as receiver:
        await sender.send_messages(ServiceBusMessage("1"))
        (first,) = await take(receiver)
        assert broker.faults.detach_links() == 2
        await sender.send_messages(ServiceBusMessage("2"))
        await receiver.complete_message(first)
        (second,) = await take(receiver)
        await receiver.complete_message(second)
    await until(lambda: broker.stats("orders")["completed"] == 2)


async def test_a_send_stored_twice_is_delivered_twice_despite_duplicate_detection(
    client: Client, broker: Broker
) -> None:
    broker.faults.store_twice(1)
    await client.send("once", ServiceBusMessage("x", message_id="m1"), ServiceBusMessage("y", message_id="m2"))
    async with client.receiver("once") as receiver:
        assert [message.message_id for message in await take(receiver, 3)] == ["m1", "m1", "m2"]


async def test_shuffled_messages_come_in_the_order_of_the_seed(client: Client, broker: Broker) -> None:
    orders = []
    for _ in range(2):
        broker.faults.shuffle(7)
        await client.send("orders", [ServiceBusMessage(str(i)) for i in range(20)])
        async with client.receiver("orders", prefetch_count=20) as receiver:
            got = await take(receiver, 20)
            for message in got:
                await receiver.complete_message(message)
        orders.append([str(message) for message in got])
    assert orders[0] == orders[1] != [str(i) for i in range(20)]


async def test_a_lost_completion_brings_the_message_again_once_its_lock_has_run_out(
    client: Client, broker: Broker, clock: Clock
) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    broker.faults.lose_completions(2)
    async with client.receiver("orders") as receiver:
        (first,) = await take(receiver)
        await receiver.complete_message(first)
        assert broker.stats("orders")["completed"] == 0
        assert broker.faults.lose_completions(0) == 1
        clock.ahead_s = QUEUES["orders"].lock_duration_s
        (again,) = await take(receiver)
        assert again.delivery_count == 1
        await receiver.complete_message(again)
    await until(lambda: broker.stats("orders")["completed"] == 1)


@leaks
async def test_a_silent_peer_is_dropped_after_twice_the_idle_time(kind: str) -> None:
    with Broker({"orders": QueueConfig()}, idle_s=0.3) as broker:
        client = connect(kind, broker.connection_string)
        async with client.sender("orders") as sender:
            assert broker.connections == 1
            await until(lambda: broker.connections == 0)
            await sender.send_messages(ServiceBusMessage("x"))
        assert broker.stats("orders")["active"] == 1
        await client.close()
