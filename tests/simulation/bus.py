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
from datetime import datetime
from typing import Any

from azure.servicebus import exceptions as sdk

from lab.azure.service_bus.queue import Entry, Queue, Settlement
from lab.azure.service_bus.queue_config import QueueConfig
from services.queue_session.queue_service import MAX_ATTEMPTS
from tests.simulation.loop import SimLoop, World
from tests.simulation.redis_model import EPOCH_S

LOCK_S, RENEWED_S, DELIVERIES, WINDOW_S = 60.0, 300.0, 10, 600.0
TICK_S = 5.0
BATCH_MOST = 20
EARLY_S = 0.6  # with less time left than SEND_S nothing is sent
AGE_BUCKET_S = 60.0  # a record older than this may be sent again under another MessageId
Handler = Callable[[bytes], Coroutine[Any, Any, Any]]


class Letter:
    """One stored message: an order as it was placed."""

    def __init__(self, body: bytes) -> None:
        self.body, order = body, json.loads(body)
        self.order_id: str = order["order_id"]
        self.placed_s = datetime.fromisoformat(order["placed_at"]).timestamp() - EPOCH_S


class Bus:
    """One queue. `state`: "", "down" (refuses), "hole" (silent) or "busy"; the rest are chances per message, of 1."""

    def __init__(self, world: World, seed: str, lag_s: float) -> None:
        self.world, self.random = world, random.Random(f"{seed}/bus")
        config = QueueConfig(lock_duration_s=LOCK_S, max_delivery_count=DELIVERIES, duplicate_window_s=WINDOW_S)
        self.queue: Queue[Letter] = Queue("orders", config, lambda: world.now)
        self.state, self.lag_s, self.shuffled = "", lag_s, False
        self.unconfirmed = self.refused = self.doubled = self.unsettled = self.unhandled = 0.0
        self.triggers: list[Trigger] = []
        self.stored: dict[str, list[float]] = {}  # order id -> when a copy of it was taken
        self.placed: dict[str, float] = {}  # order id -> when it was placed first
        self.arrived: Counter[str] = Counter()  # attempt to place an order -> messages, known ones too
        self.refusals: Counter[str] = Counter()  # likewise, of messages that were not stored
        self.not_sent: dict[str, str] = {}  # attempt -> what its caller was told: no message of it may arrive
        self.replayed: Counter[str] = Counter()
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

    def arrive(self, attempt: str) -> None:
        """A message is here, stored before or not."""
        self.arrived[attempt] += 1
        if self.arrived[attempt] > MAX_ATTEMPTS:
            self.world.violate(f"a message has been sent {self.arrived[attempt]} times: {attempt}")
        self._check_not_sent(attempt)

    def say_not_sent(self, attempt: str, error: str, left_s: float) -> None:
        """The caller of this attempt has been told that nothing was sent, so long before its deadline."""
        self.not_sent[attempt] = error
        self._check_not_sent(attempt)
        if left_s > EARLY_S and self.refusals[attempt] < MAX_ATTEMPTS and "closed" not in error:
            self.world.violate(f"a message was given up {left_s:.2f} s before its deadline: {error}")

    def _check_not_sent(self, attempt: str) -> None:
        if attempt in self.not_sent and self.arrived[attempt]:
            self.world.violate(f"MessageNotSent, and the queue has it: {attempt}, {self.not_sent[attempt]}")

    def store(self, message_id: str, body: bytes) -> None:
        """Take a message; copies of one order only as far as its age allows."""
        letter, now = Letter(body), self.world.now
        if self.queue.send(letter, size=len(body), message_id=message_id) is None:
            return
        copies = self.stored.setdefault(letter.order_id, [])
        copies.append(now)
        age_s = now - self.placed.setdefault(letter.order_id, letter.placed_s) + 3
        allowed = 1 + int(age_s / AGE_BUCKET_S).bit_length() + int(age_s / WINDOW_S)
        if len(copies) > allowed + self.replayed[letter.order_id]:
            self.world.violate(f"order {letter.order_id} is on the queue {len(copies)} times")
        if self.random.random() < self.doubled:
            self.queue.send(Letter(body), size=len(body), detect_duplicates=False)
        self.dispatch()

    def replay_dead(self) -> None:
        """Send every dead letter again under a fresh id, as the operator does."""
        while (entry := self.dead.receive(delete=True)) is not None:
            self.replayed[entry.content.order_id] += 1
            self.store(f"replay-{entry.sequence}", entry.content.body)

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
        while free := [trigger for trigger in self.triggers if trigger.free]:
            entry = self.queue.receive()
            if entry is None:
                return
            if self.random.random() < self.unhandled:
                self.unhandled_orders.add(entry.content.order_id)
                self.settle(entry.lock_token, Settlement.COMPLETE)
            else:
                self.random.choice(free).deliver(entry)

    def settle(self, token: Any, settlement: Settlement) -> None:
        """Settle a lock, if it still holds and the platform carries it out."""
        if self.random.random() >= self.unsettled and self.queue.holds(token):
            self.queue.settle(token, settlement)
        self.dispatch()


class Trigger:
    """What the host does for one instance: receives, renews the lock, completes or abandons."""

    def __init__(self, bus: Bus, loop: SimLoop, handler: Handler) -> None:
        self.bus, self.loop, self.handler = bus, loop, handler
        self.running: dict[asyncio.Task[Any], None] = {}
        self.workerless = False  # the listener goes on without its worker: each delivery is burnt at once
        bus.triggers.append(self)

    @property
    def free(self) -> bool:
        """Whether another message may be handed to it: host.json's maxConcurrentCalls is 16."""
        return len(self.running) < 16 and not (self.loop.dead or self.loop.frozen)

    def deliver(self, entry: Entry[Letter]) -> None:
        """A locked message arrives."""
        world, token = self.bus.world, entry.lock_token
        if self.workerless:
            world.later(0.01, self.bus.settle, token, Settlement.ABANDON)
            return
        task = self.loop.create_task(self.handler(entry.content.body))
        self.running[task] = None
        world.later(LOCK_S / 2, self._renew, token, task, world.now)
        task.add_done_callback(lambda done: self._done(token, done))

    def _renew(self, token: Any, task: asyncio.Task[Any], since: float) -> None:
        if task.done() or self.loop.dead or self.bus.world.now - since > RENEWED_S:
            return
        if not self.loop.frozen and self.bus.queue.holds(token):
            self.bus.queue.renew(token)
        self.bus.world.later(LOCK_S / 2, self._renew, token, task, since)

    def _done(self, token: Any, task: asyncio.Task[Any]) -> None:
        self.running.pop(task, None)
        if not (task.cancelled() or self.bus.world.ended):
            settlement = Settlement.COMPLETE if task.exception() is None else Settlement.ABANDON
            self.bus.world.later(self.bus.way_s(), self.bus.settle, token, settlement)


class SimSender:
    """Where an instance gets its senders, the session's sender, the SDK's and the SDK's batch."""

    def __init__(self, bus: Bus, loop: SimLoop) -> None:
        self.bus, self.loop, self.sdk = bus, loop, self
        self.open = self.in_use = self.broken = False
        self.messages: list[Any] = []

    async def new_sender(self, queue_name: str) -> Any:
        return SimSender(self.bus, self.loop)

    async def close(self) -> None:
        """Never raises."""

    async def create_message_batch(self) -> Any:
        """Opens the link on first use, as the SDK does."""
        if not self.open:
            await self._round_trip(None, 60.0)
            self.open = True
        return SimSender(self.bus, self.loop)

    def add_message(self, message: Any) -> None:
        if len(self.messages) >= BATCH_MOST:
            raise sdk.MessageSizeExceededError(message="the batch is full")
        self.messages.append(message)

    async def send_messages(self, batch: Any, timeout: float) -> None:
        """With another send under way, parts of it are lost without a word; after a failure, whatever is sent."""
        messages = [each for each in batch.messages if not self.in_use or self.bus.random.random() < 0.5]
        self.in_use = True
        try:
            await self._round_trip(messages, timeout)
        except sdk.ServiceBusServerBusyError:
            raise
        except BaseException:
            self.broken = True
            raise
        finally:
            self.in_use = False

    async def _round_trip(self, messages: list[Any] | None, timeout: float) -> None:
        answer = self.loop.create_future()
        if not self.broken:
            self.bus.world.later(self.bus.way_s(), self._arrive, messages, answer)
        self.bus.world.later(timeout, self._answered, answer, sdk.OperationTimeoutError(message="no answer"))
        await answer

    def _arrive(self, messages: list[Any] | None, answer: asyncio.Future[None]) -> None:
        bus = self.bus
        error: Exception | None = None
        if bus.state == "down":
            error = sdk.ServiceBusConnectionError(message="the link is detached")
        elif messages is not None and (bus.state == "busy" or (bus.refused and bus.random.random() < bus.refused)):
            error = sdk.ServiceBusServerBusyError(message="try again")
            bus.refusals.update(message.application_properties["attempt"] for message in messages)
        elif messages is not None and bus.state != "hole":
            for message in messages:
                bus.arrive(message.application_properties["attempt"])
                bus.store(message.message_id, b"".join(message.body))
            if bus.random.random() < bus.unconfirmed:
                error = sdk.ServiceBusConnectionError(message="the connection was cut")
        silent = bus.state == "hole" or (error is not None and bus.state == "" and bus.random.random() < 0.5)
        if not silent:
            bus.world.later(bus.way_s(), self._answered, answer, error)

    @staticmethod
    def _answered(answer: asyncio.Future[None], error: Exception | None) -> None:
        if not answer.done():
            answer.set_result(None) if error is None else answer.set_exception(error)
