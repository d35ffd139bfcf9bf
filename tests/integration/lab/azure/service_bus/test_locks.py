"""Locks with the real SDK, sync and aio: expiry, renewal, and what a closed link leaves locked."""

from __future__ import annotations

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessageLockLostError

from lab.azure.service_bus import Broker
from tests.integration.lab.azure.service_bus.clients import Client, leaks, take
from tests.integration.lab.azure.service_bus.clock import Clock
from tests.integration.lab.azure.service_bus.conftest import QUEUES
from tests.waiting import until

LOCK_S = QUEUES["orders"].lock_duration_s


@pytest.mark.parametrize("late", ["complete_message", "renew_message_lock"])
async def test_after_its_lock_ran_out_a_message_can_neither_be_settled_nor_its_lock_renewed(
    client: Client, broker: Broker, clock: Clock, late: str
) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
        clock.ahead_s = LOCK_S
        with pytest.raises(MessageLockLostError):
            await getattr(receiver, late)(got)
    assert broker.stats("orders")["completed"] == 0


async def test_a_closed_receiver_gives_back_what_was_only_prefetched(client: Client, broker: Broker) -> None:
    await client.send("orders", [ServiceBusMessage(str(i)) for i in range(10)])
    async with client.receiver("orders", prefetch_count=20) as receiver:
        await take(receiver, 1)
    await until(lambda: broker.stats("orders")["locked"] == 1)
    async with client.receiver("orders") as receiver:
        assert {message.delivery_count for message in await take(receiver, 9)} == {0}


async def test_a_taken_message_stays_locked_after_its_receiver_closed(
    client: Client, broker: Broker, clock: Clock
) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    async with client.receiver("orders") as receiver:
        await take(receiver)
    assert broker.stats("orders")["locked"] == 1
    clock.ahead_s = LOCK_S
    async with client.receiver("orders") as receiver:
        (again,) = await take(receiver)
    assert again.delivery_count == 1


@leaks
async def test_a_lock_survives_a_cut_connection_and_can_be_settled_through_a_new_one(
    client: Client, broker: Broker
) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
        broker.faults.cut_connections()
        await receiver.complete_message(got)
    await until(lambda: broker.stats("orders")["completed"] == 1)
