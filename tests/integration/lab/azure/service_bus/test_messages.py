"""Sending, receiving and settling with the real SDK, sync and aio."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from lab.azure.service_bus import Broker
from tests.integration.lab.azure.service_bus.clients import Client, connect, leaks
from tests.integration.lab.azure.service_bus.clock import Clock


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
