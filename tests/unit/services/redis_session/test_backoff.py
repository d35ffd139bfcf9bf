"""The waits between attempts."""

from __future__ import annotations

import random

from services.redis_session.backoff import Backoff


class Most(random.Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Least(random.Random):
    """Always the lower end."""

    def uniform(self, a: float, b: float) -> float:
        return a


def test_the_longest_possible_wait_doubles_from_the_base_up_to_the_cap() -> None:
    backoff = Backoff(0.05, 1.0, Most())
    assert [backoff.next_wait_s() for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_the_jitter_is_full_so_any_wait_may_be_nothing() -> None:
    backoff = Backoff(0.05, 1.0, Least())
    assert [backoff.next_wait_s() for _ in range(7)] == [0.0] * 7


def test_it_starts_from_the_base_again_after_a_reset() -> None:
    backoff = Backoff(0.05, 1.0, Most())
    backoff.next_wait_s(), backoff.next_wait_s()
    backoff.reset()
    assert backoff.next_wait_s() == 0.05


def test_at_a_full_server_the_wait_is_never_short_and_stays_long() -> None:
    backoff = Backoff(0.05, 1.0, Least())
    assert backoff.longest_wait_s() == 0.5
    backoff._random = Most()
    assert backoff.next_wait_s() == 1.0


def test_a_million_failures_do_not_overflow() -> None:
    backoff = Backoff(0.05, 1.0, Most())
    backoff._failures = 1_000_000
    assert backoff.next_wait_s() == 1.0
