"""What a Service Bus queue does: locks, delivery counts, dead letters, duplicates, schedules and expiry.

It must never know a protocol, a socket or an event loop: time comes from the clock it is given, content is opaque, and
`tick` is called by whoever owns it.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import math
import random
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from .queue_config import QueueConfig

Content = TypeVar("Content")


class LockLost(Exception):
    """The lock token is unknown: it ran out, its message is settled, or it was never issued."""


class QueueFull(Exception):
    """Another message would exceed `max_messages` or `max_bytes`."""


class AlreadyDead(Exception):
    """A message of a dead-letter queue cannot be dead-lettered again (page "Service Bus dead-letter queues")."""


class State(enum.IntEnum):
    """As `x-opt-message-state` counts them."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


class Settlement(enum.Enum):
    """How a receiver gives a locked message back."""

    COMPLETE = "complete"
    ABANDON = "abandon"
    DEFER = "defer"
    DEAD_LETTER = "dead-letter"
    RELEASE = "release"  # never looked at: does not count as a delivery


@dataclass(eq=False, slots=True)
class Entry(Generic[Content]):
    """One stored message. Times are the queue's clock; `sequence` is unique and rising in its queue."""

    content: Content
    size: int
    sequence: int
    enqueued_at: float
    expires_at: float
    state: State = State.ACTIVE
    ttl_s: float = math.inf  # as it was stored: dead letters show it, though they do not expire
    enqueued_sequence: int = 0  # its number before it was moved here
    delivery_count: int = 0
    lock_token: uuid.UUID | None = None
    locked_until: float = 0.0
    dead_letter_reason: tuple[str | None, str | None] = (None, None)  # reason, description

    def due(self) -> float:
        """When time alone changes this message next."""
        if self.lock_token is not None:
            return self.locked_until
        if self.state is State.SCHEDULED:
            return self.enqueued_at
        # Deferred ones are looked at only when asked for, as in the service (page "Message deferral").
        return self.expires_at if self.state is State.ACTIVE else math.inf


class Queue(Generic[Content]):
    """A queue and, as `dead`, its dead-letter queue (which has none itself)."""

    def __init__(
        self, name: str, config: QueueConfig, clock: Callable[[], float] = time.time, *, is_dead: bool = False
    ) -> None:
        self.name, self.config, self.clock = name, config, clock
        self.dead: Queue[Content] | None = None
        if not is_dead:
            dead = QueueConfig(lock_duration_s=config.lock_duration_s, max_delivery_count=math.inf)
            self.dead = Queue(f"{name}/$deadletterqueue", dead, clock, is_dead=True)
        self.completed = self.duplicates = self.bytes = 0
        self._sequences = itertools.count(1)
        self._entries: dict[int, Entry[Content]] = {}  # by sequence number, which is also their order
        self._states: Counter[State] = Counter()
        self._locked: dict[uuid.UUID, Entry[Content]] = {}
        # Two heaps that may hold outdated items: an item counts only if its entry still agrees.
        self._ready: list[tuple[float, int]] = []  # (order, sequence)
        self._timers: list[tuple[float, int]] = []  # (due, sequence)
        self._history: OrderedDict[str, float] = OrderedDict()  # MessageId -> when to forget it
        self._shuffle: random.Random | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def with_dead(self) -> Iterator[Queue[Content]]:
        """This queue, then its dead-letter queue."""
        yield self
        if self.dead is not None:
            yield self.dead

    # --- sending ------------------------------------------------------------------------------------------------------
    def send(
        self,
        content: Content,
        *,
        size: int = 0,
        message_id: str | None = None,
        ttl_s: float = math.inf,
        due_at: float = 0.0,
        detect_duplicates: bool = True,
    ) -> int | None:
        """Store a message and return its sequence number; None if its id was seen inside the duplicate window.

        `due_at` in the future schedules it. Raises QueueFull.
        """
        now = self.clock()
        if detect_duplicates and message_id is not None and self._seen(message_id, now):
            self.duplicates += 1
            return None
        self.check_room(1, size)
        if detect_duplicates and message_id is not None and self.config.duplicate_window_s:
            self._remember(message_id, now)
        enqueued_at = max(now, due_at)
        ttl_s = min(ttl_s, self.config.default_ttl_s)
        state = State.SCHEDULED if due_at > now else State.ACTIVE
        entry = Entry(content, size, next(self._sequences), enqueued_at, enqueued_at + ttl_s, state, ttl_s)
        return self._store(entry).sequence

    def check_room(self, messages: int, size: int) -> None:
        """Raise QueueFull if so many more messages with so many bytes in all would be too much."""
        held_messages, held_bytes = (sum(of) for of in zip(*((len(q), q.bytes) for q in self.with_dead()), strict=True))
        if held_messages + messages > self.config.max_messages or held_bytes + size > self.config.max_bytes:
            raise QueueFull(
                f"The queue '{self.name}' holds {held_messages} messages with {held_bytes} bytes, dead letters "
                f"included; its limits are {self.config.max_messages} and {self.config.max_bytes}. Receive some."
            )

    def cancel_scheduled(self, sequence: int) -> bool:
        """Remove a message that is not due yet; False if there is no such one."""
        entry = self._entries.get(sequence)
        if entry is None or entry.state is not State.SCHEDULED:
            return False
        self._remove(entry)
        return True

    # --- receiving ----------------------------------------------------------------------------------------------------
    def receive(self, *, delete: bool = False) -> Entry[Content] | None:
        """The next message, locked, or removed if `delete` (receive-and-delete); None if nothing is ready."""
        now = self.clock()
        while self._ready:
            entry = self._entries.get(heapq.heappop(self._ready)[1])
            if entry is None:
                continue
            if entry.expires_at <= now:
                self._expire(entry)
            elif delete:
                self.completed += 1
                return self._remove(entry)
            else:
                return self._lock(entry)
        return None

    def receive_deferred(self, sequence: int, *, delete: bool = False) -> Entry[Content] | None:
        """A deferred message by its number, locked or removed; None if it is not there, locked, or has expired."""
        entry = self._entries.get(sequence)
        if entry is None or entry.state is not State.DEFERRED or entry.lock_token is not None:
            return None
        if entry.expires_at <= self.clock():
            self._expire(entry)
            return None
        if delete:
            self.completed += 1
            return self._remove(entry)
        return self._lock(entry)

    def peek(self, from_sequence: int, count: int) -> Iterator[Entry[Content]]:
        """Up to `count` messages in any state from a sequence number on, without locking them."""
        now = self.clock()
        found = (e for s, e in self._entries.items() if s >= from_sequence and e.expires_at > now)
        return itertools.islice(found, count)

    # --- settling -----------------------------------------------------------------------------------------------------
    def holds(self, token: uuid.UUID) -> bool:
        """Whether a lock is still in force."""
        entry = self._locked.get(token)
        return entry is not None and entry.locked_until > self.clock()

    def renew(self, token: uuid.UUID) -> float:
        """Hold a message for another lock duration; returns until when. Raises LockLost."""
        entry = self._held(token)
        entry.locked_until = self.clock() + self.config.lock_duration_s
        return entry.locked_until

    def settle(
        self,
        token: uuid.UUID,
        settlement: Settlement,
        reason: str | None = None,
        description: str | None = None,
        *,
        change: Callable[[Content], int] | None = None,
    ) -> Content:
        """End a lock; returns what was locked. `reason` and `description` are for DEAD_LETTER. `change` alters the
        content first and returns by how many bytes it grew.

        Raises LockLost, AlreadyDead, and what `change` raises; then the lock is still held.
        """
        entry = self._held(token)
        if settlement is Settlement.DEAD_LETTER and self.dead is None:
            raise AlreadyDead(self.name)
        if change is not None:
            grown = change(entry.content)
            entry.size += grown
            self.bytes += grown
        self._unlock(entry)
        if settlement is Settlement.COMPLETE:
            self.completed += 1
            self._remove(entry)
        elif settlement is Settlement.DEAD_LETTER:
            self._bury(entry, reason, description)
        else:
            if settlement is Settlement.DEFER:
                self._change(entry, State.DEFERRED)
            self._give_back(entry, counted=settlement is not Settlement.RELEASE)
        return entry.content

    def tick(self) -> None:
        """Apply what time has done: locks that ran out, schedules that came due, messages that expired."""
        now = self.clock()
        while self._timers and self._timers[0][0] <= now:
            entry = self._entries.get(heapq.heappop(self._timers)[1])
            if entry is None:
                continue
            if entry.due() > now:
                self._arm(entry)  # its lock was renewed, or this timer is outdated
            elif entry.lock_token is not None:
                self._unlock(entry)
                self._give_back(entry, counted=True)
            elif entry.state is State.SCHEDULED:
                self._activate(entry)
            else:
                self._expire(entry)
        self._forget(now)
        if self.dead is not None:
            self.dead.tick()

    # --- inspection and faults ----------------------------------------------------------------------------------------
    def stats(self) -> dict[str, int]:
        """How many are active (locked ones included), locked, scheduled, deferred, dead, and were ever completed
        (or received and deleted) or dropped as duplicates."""
        return {
            "active": self._states[State.ACTIVE],
            "locked": len(self._locked),
            "scheduled": self._states[State.SCHEDULED],
            "deferred": self._states[State.DEFERRED],
            "dead": len(self.dead) if self.dead is not None else 0,
            "completed": self.completed,
            "duplicates": self.duplicates,
        }

    @property
    def has_ready(self) -> bool:
        """Whether `receive` may find something."""
        return bool(self._ready)

    def shuffle(self, source: random.Random | None) -> None:
        """Hand messages out in random order from now on, or (None) in theirs again."""
        self._shuffle = source
        self._ready = [(self._order(sequence), sequence) for _, sequence in sorted(self._ready, key=lambda i: i[1])]
        heapq.heapify(self._ready)

    # --- inside -------------------------------------------------------------------------------------------------------
    def _seen(self, message_id: str, now: float) -> bool:
        return self._history.get(message_id, -math.inf) > now

    def _remember(self, message_id: str, now: float) -> None:
        self._history.pop(message_id, None)  # an outdated one would keep its old place in the order
        self._history[message_id] = now + self.config.duplicate_window_s
        if len(self._history) > self.config.duplicate_history:
            self._history.popitem(last=False)

    def _forget(self, now: float) -> None:
        while self._history and next(iter(self._history.values())) <= now:
            self._history.popitem(last=False)

    def _store(self, entry: Entry[Content]) -> Entry[Content]:
        self._entries[entry.sequence] = entry
        self._states[entry.state] += 1
        self.bytes += entry.size
        self._arm(entry)
        if entry.state is State.ACTIVE:
            self._offer(entry)
        return entry

    def _remove(self, entry: Entry[Content]) -> Entry[Content]:
        del self._entries[entry.sequence]
        self._states[entry.state] -= 1
        self.bytes -= entry.size
        return entry

    def _change(self, entry: Entry[Content], state: State) -> None:
        self._states[entry.state] -= 1
        self._states[state] += 1
        entry.state = state

    def _activate(self, entry: Entry[Content]) -> None:
        """A scheduled message gets a new number when it is enqueued (page "Message sequencing and timestamps")."""
        self._remove(entry)
        entry.sequence, entry.state = next(self._sequences), State.ACTIVE
        self._store(entry)

    def _held(self, token: uuid.UUID) -> Entry[Content]:
        if not self.holds(token):
            raise LockLost(token)
        return self._locked[token]

    def _lock(self, entry: Entry[Content]) -> Entry[Content]:
        entry.lock_token = uuid.uuid4()
        entry.locked_until = self.clock() + self.config.lock_duration_s
        self._locked[entry.lock_token] = entry
        self._arm(entry)
        return entry

    def _unlock(self, entry: Entry[Content]) -> None:
        if entry.lock_token is not None:
            del self._locked[entry.lock_token]
            entry.lock_token = None

    def _give_back(self, entry: Entry[Content], *, counted: bool) -> None:
        entry.delivery_count += counted
        if entry.delivery_count >= self.config.max_delivery_count:
            attempts = f"{self.config.max_delivery_count} delivery attempts"
            self._bury(entry, "MaxDeliveryCountExceeded", f"Message could not be consumed after {attempts}.")
        elif entry.state is State.ACTIVE:
            if entry.expires_at <= self.clock():
                self._expire(entry)
                return
            self._offer(entry)
            self._arm(entry)

    def _expire(self, entry: Entry[Content]) -> None:
        if self.config.dead_letter_on_expiration:
            self._bury(entry, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            self._remove(entry)

    def _bury(self, entry: Entry[Content], reason: str | None, description: str | None) -> None:
        self._remove(entry)
        if self.dead is not None:
            entry.enqueued_sequence, entry.sequence = entry.sequence, next(self.dead._sequences)
            entry.state, entry.expires_at = State.ACTIVE, math.inf
            entry.dead_letter_reason = (reason, description)
            self.dead._store(entry)

    def _order(self, sequence: int) -> float:
        return self._shuffle.random() if self._shuffle else sequence

    def _offer(self, entry: Entry[Content]) -> None:
        heapq.heappush(self._ready, (self._order(entry.sequence), entry.sequence))
        if len(self._ready) > 2 * len(self._entries) + 1024:
            self._ready = [item for item in self._ready if item[1] in self._entries]
            heapq.heapify(self._ready)

    def _arm(self, entry: Entry[Content]) -> None:
        if (due := entry.due()) < math.inf:
            heapq.heappush(self._timers, (due, entry.sequence))
        if len(self._timers) > 4 * len(self._entries) + 1024:
            dues = ((e.due(), e.sequence) for e in self._entries.values())
            self._timers = [item for item in dues if item[0] < math.inf]
            heapq.heapify(self._timers)
