"""The orders on the lab's queue and among its dead letters, with the real SDK: peeked at, counted, sent back."""

from __future__ import annotations

import json

from lab.azure.dead_letters import body_of, peek, work
from lab.azure.queue_target import QueueTarget
from lab.azure.service_bus_connection import ServiceBusConnection

MOST = 200_000


def order_id(body: str) -> str:
    """The order's id if the body is an order, else nothing."""
    try:
        order = json.loads(body)
    except ValueError:
        return ""
    return str(order.get("order_id", "")) if isinstance(order, dict) else ""


async def waiting_orders(connection_string: str, queue: str, *, dead: bool = False) -> list[str]:
    """The order ids on the queue (locked ones included), or among its dead letters, one per message."""
    from azure.servicebus import ServiceBusSubQueue  # when used: half a second

    async with ServiceBusConnection(connection_string).client() as client:
        receiver = client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER if dead else None)
        async with receiver:
            return [order_id(body_of(letter).decode(errors="replace")) for letter in await peek(receiver, MOST)]


async def replay(connection_string: str, queue: str) -> int:
    """Send the dead letters back, as `python -m lab dead-letters --replay` does; returns how many."""
    _, sent = await work(QueueTarget(ServiceBusConnection(connection_string), queue, "the lab"), MOST, replay=True)
    return sent


async def fewest_deliveries(connection_string: str, queue: str) -> int:
    """Of all messages on the queue, how often the one was delivered that was delivered least; 0 if there are none."""
    async with ServiceBusConnection(connection_string).client() as client, client.get_queue_receiver(queue) as receiver:
        return min(((letter.delivery_count or 0) + 1 for letter in await peek(receiver, MOST)), default=0)
