"""The failed attempts of one operation: may there be another one, and when; and if not, what is known."""

from __future__ import annotations

import random

from .backoff import Backoff
from .errors import NotSent, OutcomeUnknown, Overloaded, RedisUnavailable

LAST_S = 0.05  # with less time left, a repeat would sooner turn "did not run" into "may have run" than succeed


class Failures:
    """Failures of an operation that may run twice only if `idempotent`, and that waits for anything if `patient`."""

    def __init__(self, idempotent: bool, patient: bool, randomness: random.Random | None) -> None:
        self._idempotent, self._patient, self._backoff = idempotent, patient, Backoff(randomness=randomness)
        self._last: RedisUnavailable | None = None
        self._maybe_ran = False

    def wait_s(self, failure: RedisUnavailable, *, wrote: bool, left_s: float) -> float:
        """Count one more failure; seconds until the next attempt. Raises what is known, if there is none in `left_s`.

        `wrote`: whether a command of the failed attempt may have run, whatever the failure says.
        """
        if self._last is not None and isinstance(failure, NotSent) and isinstance(failure.__cause__, TimeoutError):
            failure = self._last  # says more than that the deadline has passed
        if failure.reason is None and self._last is not None:
            failure.reason = self._last.reason  # a deadline that has passed knows none
        self._last = failure
        ran = wrote or isinstance(failure, OutcomeUnknown)
        self._maybe_ran |= ran
        wait_s = self._backoff.next_wait_s()
        needed_s = wait_s if self._maybe_ran else wait_s + LAST_S
        if self._passes(failure) and (self._idempotent or not ran) and needed_s < left_s:
            return wait_s
        if self._maybe_ran and not isinstance(failure, OutcomeUnknown):
            raise OutcomeUnknown(f"an earlier attempt may have run; the last one: {failure}", failure.reason)
        raise failure

    def _passes(self, failure: RedisUnavailable) -> bool:
        """Whether the cause may be gone soon enough for this caller."""
        if self._patient:
            return True
        return isinstance(failure, NotSent | OutcomeUnknown) and not isinstance(failure, Overloaded)
