"""The queue's rules, with a clock that stands still until a test moves it."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lab.azure.service_bus.queue import AlreadyDead, Entry, LockLost, Queue, QueueFull, Settlement
from lab.azure.service_bus.queue_config import QueueConfig

COMPLETE, ABANDON, DEFER = Settlement.COMPLETE, Settlement.ABANDON, Settlement.DEFER
DEAD_LETTER, RELEASE = Settlement.DEAD_LETTER, Settlement.RELEASE


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, config: QueueConfig | None = None) -> Queue[str]:
    return Queue("q", config or QueueConfig(), clock)


def received(queue: Queue[str]) -> Entry[str]:
    entry = queue.receive()
    assert entry is not None
    return entry


def locked(queue: Queue[str]) -> uuid.UUID:
    token = received(queue).lock_token
    assert token is not None
    return token


def dead(queue: Queue[str]) -> Queue[str]:
    assert queue.dead is not None
    return queue.dead


def drain(queue: Queue[str]) -> list[str]:
    got = []
    while entry := queue.receive(delete=True):
        got.append(entry.content)
    return got


def pass_time(queue: Queue[str], clock: Clock, seconds: float) -> None:
    clock.now += seconds
    queue.tick()


def test_an_abandoned_message_returns_to_its_place_with_its_delivery_counted(clock: Clock) -> None:
    queue = make(clock)
    queue.send("a")
    queue.send("b")
    queue.settle(locked(queue), ABANDON)
    entry = received(queue)
    assert (entry.content, entry.delivery_count) == ("a", 1)


def test_a_renewed_lock_lasts_a_whole_duration_from_then(clock: Clock) -> None:
    queue = make(clock, QueueConfig(lock_duration_s=60))
    queue.send("a")
    token = locked(queue)
    pass_time(queue, clock, 50)
    assert queue.renew(token) == clock.now + 60
    pass_time(queue, clock, 59)
    assert queue.holds(token)
    pass_time(queue, clock, 1)
    assert not queue.holds(token)


def test_a_dead_letter_never_dies_of_deliveries_or_of_age(clock: Clock) -> None:
    queue = make(clock, QueueConfig(max_delivery_count=2, default_ttl_s=10))
    queue.send("a")
    queue.settle(locked(queue), DEAD_LETTER, "why", "what")
    pass_time(queue, clock, 1000)
    for _ in range(50):
        dead(queue).settle(locked(dead(queue)), ABANDON)
    assert received(dead(queue)).dead_letter_reason == ("why", "what")


def test_a_dead_letter_cannot_be_dead_lettered(clock: Clock) -> None:
    queue = make(clock)
    queue.send("a")
    queue.settle(locked(queue), DEAD_LETTER)
    token = locked(dead(queue))
    with pytest.raises(AlreadyDead):
        dead(queue).settle(token, DEAD_LETTER)
    assert dead(queue).holds(token)


def test_a_deferred_message_that_is_abandoned_or_released_stays_deferred(clock: Clock) -> None:
    queue = make(clock)
    number = queue.send("a") or 0
    queue.settle(locked(queue), DEFER)
    queue.receive_deferred(number)
    pass_time(queue, clock, 60)
    assert (queue.receive(), queue.stats()["deferred"]) == (None, 1)


def test_an_expired_deferred_message_is_found_out_when_asked_for(clock: Clock) -> None:
    queue = make(clock, QueueConfig(dead_letter_on_expiration=True))
    number = queue.send("a", ttl_s=10) or 0
    queue.settle(locked(queue), DEFER)
    pass_time(queue, clock, 20)
    assert queue.stats()["deferred"] == 1
    assert queue.receive_deferred(number) is None
    assert (received(dead(queue)).dead_letter_reason or "")[0] == "TTLExpiredException"


def test_a_scheduled_message_waits_and_gets_a_new_number_when_due(clock: Clock) -> None:
    queue = make(clock)
    number = queue.send("later", due_at=clock.now + 10) or 0
    queue.send("now")
    assert drain(queue) == ["now"]
    pass_time(queue, clock, 10)
    entry = received(queue)
    assert entry.content == "later"
    assert entry.sequence > number
    assert entry.enqueued_at == clock.now


def test_a_scheduled_messages_life_begins_when_it_is_due(clock: Clock) -> None:
    queue = make(clock)
    queue.send("a", ttl_s=5, due_at=clock.now + 10)
    pass_time(queue, clock, 12)
    assert len(queue) == 1
    pass_time(queue, clock, 3)
    assert len(queue) == 0


def test_only_a_scheduled_message_can_be_cancelled(clock: Clock) -> None:
    queue = make(clock)
    number = queue.send("a", due_at=clock.now + 10) or 0
    active = queue.send("b") or 0
    assert queue.cancel_scheduled(number)
    assert not queue.cancel_scheduled(number)
    assert not queue.cancel_scheduled(active)
    pass_time(queue, clock, 20)
    assert drain(queue) == ["b"]


def test_the_shorter_of_the_two_lives_counts(clock: Clock) -> None:
    queue = make(clock, QueueConfig(default_ttl_s=10))
    queue.send("short", ttl_s=5)
    queue.send("long", ttl_s=50)
    pass_time(queue, clock, 5)
    assert len(queue) == 1
    pass_time(queue, clock, 5)
    assert len(queue) == 0


def test_an_expired_message_is_never_handed_out_even_before_the_tick(clock: Clock) -> None:
    queue = make(clock)
    queue.send("a", ttl_s=5)
    clock.now += 5
    assert list(queue.peek(0, 10)) == []
    assert queue.receive() is None


def test_a_lock_protects_from_expiry_until_it_ends(clock: Clock) -> None:
    queue = make(clock, QueueConfig(lock_duration_s=60))
    queue.send("a", ttl_s=5)
    token = locked(queue)
    pass_time(queue, clock, 30)
    assert queue.holds(token)
    queue.settle(token, ABANDON)
    assert len(queue) == 0


def test_the_history_of_ids_is_bounded_and_forgotten(clock: Clock) -> None:
    queue = make(clock, QueueConfig(duplicate_window_s=10, duplicate_history=3))
    for number in range(10):
        queue.send("a", message_id=str(number))
    assert len(queue._history) == 3
    pass_time(queue, clock, 10)
    assert len(queue._history) == 0


def test_an_id_seen_again_after_its_window_is_the_last_to_be_forgotten(clock: Clock) -> None:
    queue = make(clock, QueueConfig(duplicate_window_s=10, duplicate_history=2))
    for message_id in ("a", "b"):
        queue.send("x", message_id=message_id)
    clock.now += 10
    for message_id in ("a", "c"):
        queue.send("x", message_id=message_id)
    assert queue.send("x", message_id="a") is None


@pytest.mark.parametrize("config", [QueueConfig(max_messages=2), QueueConfig(max_bytes=25)])
def test_a_full_queue_refuses_and_dead_letters_count(clock: Clock, config: QueueConfig) -> None:
    queue = make(clock, config)
    queue.send("a", size=10)
    queue.settle(locked(queue), DEAD_LETTER)
    queue.send("b", size=10)
    with pytest.raises(QueueFull, match="limits are"):
        queue.send("c", size=10)
    assert dead(queue).receive(delete=True) is not None
    assert queue.send("c", size=10)


def test_a_refused_message_is_not_remembered_as_seen(clock: Clock) -> None:
    queue = make(clock, QueueConfig(max_messages=1, duplicate_window_s=10))
    queue.send("a", message_id="a")
    with pytest.raises(QueueFull):
        queue.send("b", message_id="b")
    drain(queue)
    assert queue.send("b", message_id="b")


def test_peek_shows_every_state_in_order_and_changes_nothing(clock: Clock) -> None:
    queue = make(clock)
    for content in "ab":
        queue.send(content)
    queue.settle(locked(queue), DEFER)
    locked(queue)
    queue.send("c", due_at=clock.now + 10)
    before = queue.stats()
    assert [entry.content for entry in queue.peek(0, 10)] == ["a", "b", "c"]
    assert [entry.content for entry in queue.peek(2, 1)] == ["b"]
    assert queue.stats() == before


def test_shuffled_order_is_the_seeds_and_can_be_ended(clock: Clock) -> None:
    orders = []
    for _ in range(2):
        queue = make(clock)
        for number in range(20):
            queue.send(str(number))
        queue.shuffle(random.Random(5))
        orders.append(drain(queue))
    straight = [str(number) for number in range(20)]
    assert orders[0] == orders[1] != straight
    queue.shuffle(None)
    for content in straight:
        queue.send(content)
    assert drain(queue) == straight


def test_internal_lists_do_not_grow_with_messages_that_are_gone(clock: Clock) -> None:
    queue = make(clock, QueueConfig(default_ttl_s=3600))
    for _ in range(5000):
        queue.send("a")
        queue.settle(locked(queue), COMPLETE)
    assert len(queue._timers) < 2000
    queue.send("a")
    for _ in range(9):
        queue.settle(locked(queue), ABANDON)
    assert len(queue._ready) < 2000


@pytest.mark.parametrize(
    "field", ["lock_duration_s", "max_delivery_count", "default_ttl_s", "max_messages", "max_bytes"]
)
def test_a_setting_that_makes_no_sense_is_refused(field: str) -> None:
    nothing: dict[str, Any] = {field: 0}
    with pytest.raises(ValueError, match=field):
        QueueConfig(**nothing)


class QueueMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order: every message is in exactly one place, and the counters say so."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue = make(self.clock, QueueConfig(lock_duration_s=10, max_delivery_count=3))
        self.sent = self.expired_or_cancelled = 0
        self.tokens: list[tuple[Queue[str], uuid.UUID]] = []
        self.numbers: list[int] = []

    @rule(ttl=st.sampled_from([5.0, float("inf")]), delay=st.sampled_from([0.0, 7.0]))
    def send(self, ttl: float, delay: float) -> None:
        self.numbers.append(self.queue.send("x", size=1, ttl_s=ttl, due_at=self.clock.now + delay) or 0)
        self.sent += 1

    @rule(from_dead=st.booleans())
    def receive(self, from_dead: bool) -> None:
        queue = dead(self.queue) if from_dead else self.queue
        entry = queue.receive()
        if entry and entry.lock_token:
            assert not any(entry.lock_token == token for _, token in self.tokens)
            self.tokens.append((queue, entry.lock_token))

    @rule(which=st.integers(0, 20), how=st.sampled_from(Settlement))
    def settle(self, which: int, how: Settlement) -> None:
        if self.tokens:
            queue, token = self.tokens[which % len(self.tokens)]
            held = queue.holds(token)
            try:
                queue.settle(token, how)
            except LockLost:
                assert not held
            except AlreadyDead:
                assert queue.dead is None
            else:
                assert held

    @rule(which=st.integers(0, 20))
    def receive_deferred(self, which: int) -> None:
        if self.numbers and (entry := self.queue.receive_deferred(self.numbers[which % len(self.numbers)])):
            assert entry.lock_token is not None
            self.tokens.append((self.queue, entry.lock_token))

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        pass_time(self.queue, self.clock, seconds)

    @invariant()
    def counters_agree(self) -> None:
        for queue in self.queue.with_dead():
            stats = queue.stats()
            assert stats["active"] + stats["deferred"] + stats["scheduled"] == len(queue) == queue.bytes
            assert stats["locked"] == sum(1 for entry in queue._entries.values() if entry.lock_token)

    @invariant()
    def what_nobody_holds_can_be_received(self) -> None:
        for queue in self.queue.with_dead():
            free = [e for e in queue._entries.values() if e.lock_token is None and e.state == 0]
            assert {e.sequence for e in free} <= {sequence for _, sequence in queue._ready}

    @invariant()
    def nothing_appears_from_nowhere(self) -> None:
        completed = self.queue.completed + dead(self.queue).completed
        assert len(self.queue) + len(dead(self.queue)) + completed <= self.sent


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
