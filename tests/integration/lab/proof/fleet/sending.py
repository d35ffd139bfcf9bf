"""Puts messages on the queue of a Service Bus with the real SDK, and takes them off."""

from __future__ import annotations

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from lab.proof.fleet.bus_process import BusProcess


async def send(bus: BusProcess, *bodies: str) -> list[str]:
    """Send them as one batch; returns their ids."""
    messages = [ServiceBusMessage(body, message_id=f"m-{number}") for number, body in enumerate(bodies)]
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_sender("orders") as sender,
    ):
        await sender.send_messages(messages, timeout=20)
    return [str(message.message_id) for message in messages]


async def complete_one(bus: BusProcess) -> str:
    """Take the next message and complete it; returns its id."""
    async with (
        ServiceBusClient.from_connection_string(bus.connection_string) as client,
        client.get_queue_receiver("orders") as receiver,
    ):
        (message,) = await receiver.receive_messages(max_message_count=1, max_wait_time=20)
        await receiver.complete_message(message)
    return str(message.message_id)
