"""Which failure may be followed by another attempt, and what is known after the last one."""

from __future__ import annotations

import random

import pytest

from services.redis_session import NotSent, OutcomeUnknown, Overloaded, RedisNotConfigured, RedisUnavailable
from services.redis_session.failures import LAST_S, Failures

LONG = 60.0


def too_late() -> NotSent:
    error = NotSent("not written within 1 s")
    error.__cause__ = TimeoutError()
    return error


@pytest.mark.parametrize(
    ("failure", "wrote", "repeated_for"),
    [
        (NotSent(), False, {"anybody"}),
        (NotSent(), True, {"idempotent", "both"}),
        (OutcomeUnknown(), False, {"idempotent", "both"}),
        (Overloaded(), False, {"patient", "both"}),
        (RedisUnavailable(), False, {"patient", "both"}),
        (RedisUnavailable(), True, {"both"}),
        (RedisNotConfigured(), False, {"patient", "both"}),
    ],
)
def test_what_is_repeated_and_for_whom(failure: RedisUnavailable, wrote: bool, repeated_for: set[str]) -> None:
    for who in ("anybody", "idempotent", "patient", "both"):
        failures = Failures(who in ("idempotent", "both"), who in ("patient", "both"), None)
        if who in repeated_for or "anybody" in repeated_for:
            assert 0 <= failures.wait_s(failure, wrote=wrote, left_s=LONG) <= 1
        else:
            with pytest.raises(OutcomeUnknown if wrote else type(failure)):
                failures.wait_s(failure, wrote=wrote, left_s=LONG)


def test_once_a_command_may_have_run_a_later_proof_that_nothing_did_is_none() -> None:
    failures = Failures(True, False, None)
    failures.wait_s(OutcomeUnknown("lost"), wrote=True, left_s=LONG)
    with pytest.raises(OutcomeUnknown, match="an earlier attempt may have run"):
        failures.wait_s(NotSent("refused"), wrote=False, left_s=0)


@pytest.mark.parametrize("idempotent", [False, True])
def test_what_has_not_run_is_not_repeated_in_the_last_moment_and_what_may_have_run_is(idempotent: bool) -> None:
    class AtOnce(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return 0.0 * (b - a)

    failures = Failures(idempotent, False, AtOnce())
    assert failures.wait_s(NotSent("refused"), wrote=False, left_s=2 * LAST_S) == 0
    with pytest.raises(NotSent, match="refused"):
        failures.wait_s(NotSent("refused"), wrote=False, left_s=LAST_S / 2)
    if idempotent:
        assert failures.wait_s(OutcomeUnknown("lost"), wrote=True, left_s=LAST_S / 2) == 0


def test_an_attempt_that_came_too_late_says_why_the_one_before_failed() -> None:
    failures = Failures(True, True, None)
    failures.wait_s(RedisNotConfigured("no address"), wrote=False, left_s=LONG)
    with pytest.raises(RedisNotConfigured, match="no address"):
        failures.wait_s(too_late(), wrote=False, left_s=0)
    with pytest.raises(NotSent, match="within 1 s"):
        Failures(True, True, None).wait_s(too_late(), wrote=False, left_s=0)


def test_a_deadline_that_passes_in_a_later_attempt_keeps_the_reason_of_the_one_before() -> None:
    failures = Failures(True, False, None)
    failures.wait_s(NotSent("MOVED", "the key is elsewhere"), wrote=False, left_s=LONG)
    with pytest.raises(OutcomeUnknown) as shown:
        failures.wait_s(OutcomeUnknown("no reply within 1 s"), wrote=True, left_s=0)
    assert shown.value.reason == "the key is elsewhere"
