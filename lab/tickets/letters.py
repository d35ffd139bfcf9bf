"""The messages on the lab's queue and among its dead letters, with the real SDK: peeked at, counted, sent back."""

from __future__ import annotations

import json
import re

from lab.azure.dead_letters import Outcome, listed, work
from lab.azure.letter import Letter
from lab.azure.queue_target import QueueTarget
from lab.azure.service_bus_connection import ServiceBusConnection

MOST = 200_000
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def order_of(letter: Letter) -> tuple[str, str]:
    """The drop's id and the order's, each empty if the body does not say it."""
    try:
        order = json.loads(letter.content if isinstance(letter.content, str) else letter.text)
    except (ValueError, RecursionError):
        return "", ""
    named = [order.get(name) if isinstance(order, dict) else None for name in ("drop_id", "order_id")]
    drop_id, order_id = (name if isinstance(name, str) and _ID.fullmatch(name) else "" for name in named)
    return drop_id, order_id


async def waiting_orders(connection_string: str, queue: str, *, dead: bool = False) -> list[str]:
    """The order ids on the queue (locked ones included), or among its dead letters, one per message."""
    letters = await listed(_target(connection_string, queue), MOST, dead=dead)
    return [order_of(letter)[1] for letter in letters]


async def replay(connection_string: str, queue: str) -> int:
    """Send the dead letters back, as `python -m lab dead-letters --replay` does; returns how many."""
    target, outcome = _target(connection_string, queue), Outcome()
    await work(target, await listed(target, MOST), outcome, replay=True)
    return len(outcome.done)


async def fewest_deliveries(connection_string: str, queue: str) -> int:
    """Of all messages on the queue, how often the one was delivered that was delivered least; 0 if there are none."""
    letters = await listed(_target(connection_string, queue), MOST, dead=False)
    return min((letter.deliveries + 1 for letter in letters), default=0)


def _target(connection_string: str, queue: str) -> QueueTarget:
    return QueueTarget(ServiceBusConnection(connection_string), queue, "the lab")
