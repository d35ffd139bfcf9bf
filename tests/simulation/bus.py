"""The Service Bus of the simulated world: the lab's own queue, a stand-in for the SDK's sender, and the host's trigger.

The sender behaves as the SDK was measured to: used by two tasks at once it loses messages, an attempt is given up at
its timeout, and what was sent may be stored although nobody hears of it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    OperationTimeoutError,
    ServiceBusConnectionError,
    ServiceBusServerBusyError,
)

from lab.azure.service_bus.queue import Entry, LockLost, Queue, Settlement
from lab.azure.service_bus.queue_config import QueueConfig

from .loop import SimLoop, World

LOCK_S, RENEWED_S, DELIVERIES, WINDOW_S = 60.0, 300.0, 10, 600.0
TICK_S = 5.0
BATCH_MOST = 20
AGE_BUCKET_S = 60.0  # a record older than this may be sent again under another MessageId
Handler = Callable[[bytes], Coroutine[Any, Any, Any]]


class Letter:
    """One stored message: an order as it was placed."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.order_id: str = json.loads(body)["order_id"]
        self.burnt = False


class Bus:
    """One queue. `state`: "", "down" (refuses), "hole" (silent) or "busy"; the rest are chances per message."""

    def __init__(self, world: World, seed: str, lag_s: float) -> None:
        self.world, self.random = world, random.Random(f"{seed}/bus")
        config = QueueConfig(lock_duration_s=LOCK_S, max_delivery_count=DELIVERIES, duplicate_window_s=WINDOW_S)
        self.queue: Queue[Letter] = Queue("orders", config, lambda: world.now)
        self.state, self.lag_s, self.shuffled = "", lag_s, False
        self.unconfirmed = self.doubled = self.unsettled = self.unhandled = 0.0
        self.triggers: list[Trigger] = []
        self.stored: dict[str, list[float]] = {}  # order id -> when a copy of it was taken
        self.arrived: Counter[str] = Counter()  # messages per order id, known ones too
        self.platform_copies: Counter[str] = Counter()
        self.unhandled_orders: set[str] = set()
        self._dispatching = False
        world.later(TICK_S, self._tick)

    @property
    def dead(self) -> Queue[Letter]:
        """The dead-letter queue."""
        assert self.queue.dead is not None
        return self.queue.dead

    def way_s(self) -> float:
        """One way over the network, in seconds."""
        return self.random.uniform(0.001, 0.01)

    def store(self, message_id: str, body: bytes, replay: bool = False) -> None:
        """Take a message; copies of one order only as far as its age allows."""
        letter, now = Letter(body), self.world.now
        self.arrived[letter.order_id] += 1
        if self.queue.send(letter, size=len(body), message_id=message_id) is None:
            return
        copies = self.stored.setdefault(letter.order_id, [])
        copies.append(now)
        if len(copies) > 1 + int((now - copies[0] + 3) / AGE_BUCKET_S) + self.platform_copies[letter.order_id] + replay:
            self.world.violate(f"order {letter.order_id} is on the queue {len(copies)} times")
        if self.random.random() < self.doubled:
            self.queue.send(Letter(body), size=len(body), detect_duplicates=False)
        self.dispatch()

    def replay_dead(self) -> int:
        """Send every dead letter again under a fresh id, as the operator does; how many."""
        count = 0
        while (entry := self.dead.receive(delete=True)) is not None:
            count += 1
            self.platform_copies[entry.content.order_id] += 1
            self.store(f"replay-{self.world.now}-{count}", entry.content.body)
        return count

    def _tick(self) -> None:
        self.queue.tick()
        self.dispatch()
        self.world.later(TICK_S, self._tick)

    def dispatch(self) -> None:
        """Hand out what is ready, soon."""
        if not self._dispatching and self.queue.has_ready and self.state not in ("down", "hole"):
            self._dispatching = True
            self.world.later(self.random.uniform(0.001, self.lag_s), self._hand_out)

    def _hand_out(self) -> None:
        self._dispatching = False
        self.queue.shuffle(self.random if self.shuffled else None)
        while self.queue.has_ready:
            free = [trigger for trigger in self.triggers if trigger.free]
            if not free:
                return
            entry = self.queue.receive()
            if entry is None:
                return
            if self.random.random() < self.unhandled:
                self.unhandled_orders.add(entry.content.order_id)
                self.settle(entry, entry.lock_token, Settlement.COMPLETE)
            else:
                self.random.choice(free).deliver(entry)

    def settle(self, entry: Entry[Letter], token: Any, settlement: Settlement) -> None:
        """Settle a lock, if it still holds and the platform carries it out."""
        if self.random.random() < self.unsettled:
            entry.content.burnt = True
            return
        try:
            self.queue.settle(token, settlement)
        except LockLost:
            entry.content.burnt = True
        self.dispatch()


class Trigger:
    """What the host does for one instance: receives, renews the lock, completes or abandons."""

    def __init__(self, bus: Bus, loop: SimLoop, handler: Handler, concurrent: int = 16) -> None:
        self.bus, self.loop, self.handler, self.concurrent = bus, loop, handler, concurrent
        self.running: dict[asyncio.Task[Any], None] = {}
        self.workerless = False  # the listener goes on without its worker: each delivery is burnt at once
        bus.triggers.append(self)

    @property
    def free(self) -> bool:
        """Whether another message may be handed to it."""
        return len(self.running) < self.concurrent and not (self.loop.dead or self.loop.frozen)

    def deliver(self, entry: Entry[Letter]) -> None:
        token = entry.lock_token
        if self.workerless:
            entry.content.burnt = True
            self.bus.world.later(0.01, self.bus.settle, entry, token, Settlement.ABANDON)
            return
        task = self.loop.create_task(self.handler(entry.content.body))
        self.running[task] = None
        self.bus.world.later(LOCK_S / 2, self._renew, token, task, self.bus.world.now)
        task.add_done_callback(lambda done: self._done(entry, token, done))

    def _renew(self, token: Any, task: asyncio.Task[Any], since: float) -> None:
        world = self.bus.world
        if task.done() or self.loop.dead or world.now - since > RENEWED_S:
            return
        if not self.loop.frozen and self.bus.queue.holds(token):
            self.bus.queue.renew(token)
        world.later(LOCK_S / 2, self._renew, token, task, since)

    def _done(self, entry: Entry[Letter], token: Any, task: asyncio.Task[Any]) -> None:
        self.running.pop(task, None)
        if task.cancelled() or self.bus.world.ended:
            return
        settlement = Settlement.COMPLETE if task.exception() is None else Settlement.ABANDON
        self.bus.world.later(self.bus.way_s(), self.bus.settle, entry, token, settlement)
        self.bus.dispatch()


class SimSenders:
    """Where an instance's session gets its senders: in the place of a ServiceBusConnection."""

    def __init__(self, bus: Bus, loop: SimLoop) -> None:
        self.bus, self.loop = bus, loop

    async def new_sender(self, queue_name: str) -> Any:
        """A sender that has not connected yet."""
        return SimSender(self.bus, self.loop)


class SimSender:
    """The session's QueueSender, and its SDK sender in one."""

    def __init__(self, bus: Bus, loop: SimLoop) -> None:
        self.bus, self.loop = bus, loop
        self.open = self.in_use = self.closed = False

    @property
    def sdk(self) -> SimSender:
        """The sender of the SDK."""
        return self

    async def close(self) -> None:
        """Never raises."""
        self.closed = True

    async def create_message_batch(self) -> SimBatch:
        """Opens the link on first use, as the SDK does."""
        if not self.open:
            await self._round_trip(None, 60.0)
            self.open = True
        return SimBatch()

    async def send_messages(self, batch: SimBatch, timeout: float) -> None:
        """Send a batch; with another send under way, parts of it are lost without a word."""
        messages = batch.messages
        if self.in_use:
            messages = [message for message in messages if self.bus.random.random() < 0.5]
        self.in_use = True
        try:
            await self._round_trip(messages, timeout)
        finally:
            self.in_use = False

    async def _round_trip(self, messages: list[Any] | None, timeout: float) -> None:
        answer = self.loop.create_future()
        self.bus.world.later(self.bus.way_s(), self._arrive, messages, answer)
        await asyncio.wait([answer], timeout=timeout)
        if not answer.done():
            raise OperationTimeoutError(message="no answer")
        answer.result()

    def _arrive(self, messages: list[Any] | None, answer: asyncio.Future[None]) -> None:
        bus = self.bus
        if bus.state == "hole":
            return
        error: Exception | None = None
        if bus.state == "down":
            error = ServiceBusConnectionError(message="the link is detached")
        elif messages is not None and bus.state == "busy":
            error = ServiceBusServerBusyError(message="try again")
        elif messages is not None:
            for message in messages:
                bus.store(message.message_id, b"".join(message.body))
            if bus.random.random() < bus.unconfirmed:
                if bus.random.random() < 0.5:
                    return
                error = ServiceBusConnectionError(message="the connection was cut")
        bus.world.later(bus.way_s(), _settle_future, answer, error)


def _settle_future(answer: asyncio.Future[None], error: Exception | None) -> None:
    if not answer.done():
        answer.set_result(None) if error is None else answer.set_exception(error)


class SimBatch:
    """A batch that takes BATCH_MOST messages."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def add_message(self, message: Any) -> None:
        """Raises MessageSizeExceededError once it is full."""
        if len(self.messages) >= BATCH_MOST:
            raise MessageSizeExceededError(message="the batch is full")
        self.messages.append(message)
