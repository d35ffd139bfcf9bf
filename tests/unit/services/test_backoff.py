"""The waits between attempts. Each session has a class of its own, as each can be lifted alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from services.queue_session.backoff import Backoff as BackoffOfTheQueue
from services.redis_session.backoff import Backoff


class Most(random.Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Least(random.Random):
    """Always the lower end."""

    def uniform(self, a: float, b: float) -> float:
        return a


@pytest.fixture(params=[Backoff, BackoffOfTheQueue], ids=["of Redis", "of the queue"])
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Each of the two."""
    made: Callable[..., Any] = request.param
    return made


def test_the_longest_possible_wait_doubles_from_the_base_up_to_the_cap(make: Callable[..., Any]) -> None:
    backoff = make(0.05, 1.0, Most())
    assert [backoff.next_wait_s() for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_the_jitter_is_full_so_any_wait_may_be_nothing(make: Callable[..., Any]) -> None:
    backoff = make(0.05, 1.0, Least())
    assert [backoff.next_wait_s() for _ in range(7)] == [0.0] * 7


def test_it_starts_from_the_base_again_after_a_reset(make: Callable[..., Any]) -> None:
    backoff = make(0.05, 1.0, Most())
    backoff.next_wait_s(), backoff.next_wait_s()
    backoff.reset()
    assert backoff.next_wait_s() == 0.05


def test_at_a_full_server_the_wait_is_never_short_and_stays_long() -> None:
    backoff = Backoff(0.05, 1.0, Least())
    assert backoff.longest_wait_s() == 0.5
    backoff._random = Most()
    assert backoff.next_wait_s() == 1.0


def test_a_million_failures_do_not_overflow(make: Callable[..., Any]) -> None:
    backoff = make(0.05, 1.0, Most())
    backoff._failures = 1_000_000
    assert backoff.next_wait_s() == 1.0
