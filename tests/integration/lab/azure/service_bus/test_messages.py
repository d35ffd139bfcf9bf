"""Sending, receiving and settling with the real SDK, sync and aio."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    ServiceBusError,
)

from lab.azure.service_bus import Broker
from tests.integration.lab.azure.service_bus.clients import Client, connect, leaks, take
from tests.integration.lab.azure.service_bus.clock import Clock

UTC = dt.UTC


async def test_the_broker_stamps_number_time_lock_and_a_delivery_count_of_0(client: Client) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
    now = dt.datetime.now(UTC)
    assert (got.sequence_number, got.delivery_count) == (1, 0)
    assert abs((got.enqueued_time_utc - now).total_seconds()) < 20
    assert 0 < (got.locked_until_utc - now).total_seconds() <= 30
    assert isinstance(got.lock_token, uuid.UUID)


async def test_a_message_of_two_data_sections_stays_one_message(client: Client) -> None:
    await client.send("orders", AmqpAnnotatedMessage(data_body=[b"part1", b"part2"]))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
    assert list(got.body) == [b"part1", b"part2"]


@leaks
async def test_cancelling_what_is_not_scheduled_is_an_error(client: Client) -> None:
    async with client.sender("orders") as sender:
        with pytest.raises(ServiceBusError):
            await sender.cancel_scheduled_messages([4711])


async def test_a_message_id_is_stored_once_within_the_window_and_again_after_it(
    client: Client, broker: Broker, clock: Clock
) -> None:
    same = [ServiceBusMessage("x", message_id="same"), ServiceBusMessage("y", message_id="other")]
    async with client.sender("once") as sender:
        await sender.send_messages(ServiceBusMessage("x", message_id="same"))
        await sender.send_messages(ServiceBusMessage("x", message_id="same"))
        await sender.send_messages(same)
        stats = broker.stats("once")
        assert (stats["active"], stats["duplicates"]) == (2, 2)
        clock.ahead_s = 601
        await sender.send_messages(ServiceBusMessage("x", message_id="same"))
    assert broker.stats("once")["active"] == 3


async def test_two_receivers_are_served_in_turn(client: Client, broker: Broker) -> None:
    async with client.receiver("orders") as one, client.receiver("orders") as other:

        async def listen(receiver: Any) -> list[Any]:
            return list(await receiver.receive_messages(max_message_count=10, max_wait_time=60))

        listening = [asyncio.create_task(listen(receiver)) for receiver in (one, other)]
        await asyncio.sleep(1)  # both receivers have given credit, which nothing shows
        await client.send("orders", [ServiceBusMessage(str(i)) for i in range(10)])
        got = [{str(message) for message in await task} for task in listening]
    assert all(got)
    assert got[0] | got[1] == {str(i) for i in range(10)}


@leaks
async def test_a_full_queue_refuses_a_send_as_a_whole(broker: Broker, kind: str) -> None:
    client = connect(kind, broker.connection_string, retry_total=0)
    await client.send("small", ServiceBusMessage("1"), ServiceBusMessage("2"))
    with pytest.raises(ServiceBusError, match="resource-limit-exceeded"):
        await client.send("small", [ServiceBusMessage("3"), ServiceBusMessage("4")])
    assert broker.stats("small")["active"] == 2
    await client.close()


async def test_queue_names_have_no_case(client: Client, broker: Broker) -> None:
    await client.send("ORDERS", ServiceBusMessage("x"))
    assert broker.stats("Orders")["active"] == 1
