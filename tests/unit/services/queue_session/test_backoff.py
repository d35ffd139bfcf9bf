"""The bounds of the wait between attempts, for any random number."""

from __future__ import annotations

import random

import pytest

from services.redis_session.backoff import Backoff
from tests.properties import given, st

seeds = st.integers(0, 2**32)


@given(seeds, st.integers(0, 40))
def test_the_nth_wait_lies_between_0_and_base_times_2_to_the_n(seed: int, failures: int) -> None:
    backoff = Backoff(0.05, 1.0, random.Random(seed))
    waits = [backoff.next_wait_s() for _ in range(failures + 1)]
    assert 0 <= waits[-1] <= min(1.0, 0.05 * 2**failures)


@given(seeds)
def test_no_number_of_failures_takes_a_wait_past_the_cap_or_overflows(seed: int) -> None:
    backoff = Backoff(0.05, 1.0, random.Random(seed))
    assert max(backoff.next_wait_s() for _ in range(5000)) <= 1.0


@given(seeds)
def test_a_full_server_is_given_at_least_half_the_cap(seed: int) -> None:
    assert 0.5 <= Backoff(0.05, 1.0, random.Random(seed)).longest_wait_s() <= 1.0


def test_after_a_full_server_the_next_wait_may_be_as_long_as_the_cap() -> None:
    backoff = Backoff(0.05, 1.0, random.Random(1))
    backoff.longest_wait_s()
    assert max(backoff.next_wait_s() for _ in range(20)) > 0.5


@given(seeds)
def test_success_starts_the_waits_from_the_base_again(seed: int) -> None:
    backoff = Backoff(0.05, 1.0, random.Random(seed))
    for _ in range(10):
        backoff.next_wait_s()
    backoff.reset()
    assert backoff.next_wait_s() <= 0.05


@pytest.mark.parametrize("failures", [0, 3, 10])
def test_the_wait_is_full_jitter_and_not_a_fixed_step(failures: int) -> None:
    ceiling = min(1.0, 0.05 * 2**failures)
    waits = []
    for seed in range(200):
        backoff = Backoff(0.05, 1.0, random.Random(seed))
        for _ in range(failures):
            backoff.next_wait_s()
        waits.append(backoff.next_wait_s() / ceiling)
    assert min(waits) < 0.1
    assert max(waits) > 0.9
