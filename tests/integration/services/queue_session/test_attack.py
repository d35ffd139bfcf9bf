"""Thousands of sends while everything around them goes wrong: what callers were told is compared with what is stored.

QUEUE_ATTACK_SENDS=36000 .venv/bin/python -m pytest -s --timeout 900 FILE     for the long attack
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from lab.azure.service_bus import Broker
from services.queue_session import MessageNotSent, MessageOutcomeUnknown, QueueService
from tests.integration.services.queue_session.bus import OpenQueue, by_string
from tests.waiting import until

SENDS = int(os.environ.get("QUEUE_ATTACK_SENDS", "600"))
AT_ONCE = 60
SIZES = (10, 10, 10, 2_000, 20_000)
DEADLINES_S = (0.05, 1.0, 10.0, 10.0, 10.0)


class Callers:
    """Sends, each told one of: sent, not sent, unknown, given up (cancelled)."""

    def __init__(self, queue: QueueService, chance: random.Random) -> None:
        self.queue, self.chance = queue, chance
        self.told: dict[str, str] = {}
        self.room = asyncio.Semaphore(AT_ONCE)
        self.tasks: set[asyncio.Task[None]] = set()

    async def send(self, message_id: str) -> None:
        size = 300_000 if self.chance.random() < 0.005 else self.chance.choice(SIZES)
        try:
            await self.queue.send(message_id, b"x" * size, within_s=self.chance.choice(DEADLINES_S))
            self.told[message_id] = "sent"
        except MessageNotSent:
            self.told[message_id] = "not sent"
        except MessageOutcomeUnknown:
            self.told[message_id] = "unknown"

    def left(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # perhaps before it began
            self.told[task.get_name()] = "given up"
        self.tasks.discard(task)
        self.room.release()

    async def run(self, sends: int) -> None:
        for number in range(sends):
            await self.room.acquire()
            task = asyncio.create_task(self.send(f"{number}"), name=f"{number}")
            self.tasks.add(task)
            task.add_done_callback(self.left)
            if number % 10 == 0:
                await asyncio.sleep(0)
        while self.tasks:
            await asyncio.wait(self.tasks)


def attacks(broker: Broker, callers: Callers, chance: random.Random) -> list[Callable[[], object]]:
    """What can go wrong, each with the same chance."""
    faults = broker.faults
    return [
        faults.detach_links,
        faults.cut_connections,
        faults.mute,
        lambda: faults.cut_after_storing(1),
        lambda: faults.refuse_sends(chance.randint(1, 4)),
        lambda: faults.refuse_sends(chance.randint(1, 3), "amqp:link:message-size-exceeded"),
        lambda: faults.delay_confirmations(chance.choice((0, 0.02, 0.2))),
        lambda: [task.cancel() for task in chance.sample(list(callers.tasks), len(callers.tasks) // 10)],
        lambda: [task.cancel() for task in asyncio.all_tasks() if task.get_name() == "queue sender"],
    ]


async def attack(broker: Broker, callers: Callers, chance: random.Random) -> None:
    """One thing after the other, until it is cancelled."""
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.8))
        broker.faults.unmute()
        chance.choice(attacks(broker, callers, chance))()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the SDK, where its own call was cancelled
async def test_nothing_reported_sent_is_missing_and_nothing_reported_not_sent_is_there(
    broker: Broker, open_queue: OpenQueue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # all that the SDK says would take the memory
    chance = random.Random(20)
    callers = Callers(open_queue(by_string(broker)), chance)
    attacking = asyncio.create_task(attack(broker, callers, chance))
    await callers.run(SENDS)
    attacking.cancel()
    await asyncio.gather(attacking, return_exceptions=True)
    broker.faults.unmute()
    await callers.queue.aclose()
    await until(lambda: broker.connections == 0)
    kept = broker._service.queues["orders"]
    stored = [entry.content.message_id for entry in kept.peek(0, kept.config.max_messages)]
    shown: dict[str, set[str]] = defaultdict(set)
    for name, what in callers.told.items():
        shown[what].add(name)
    print({what: len(names) for what, names in shown.items()}, "stored:", len(stored))  # noqa: T201  # -s shows it
    assert len(callers.told) == SENDS
    assert max(Counter(stored).values()) == 1
    assert shown["sent"] - set(stored) == set()
    assert shown["not sent"] & set(stored) == set()
