"""How long to wait before the next attempt, so that a fleet that failed together does not return together."""

from __future__ import annotations

import random


class Backoff:
    """Full-jitter exponential backoff: the n-th wait is uniform in [0, min(cap_s, base_s * 2^n)], in seconds.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015; the Retry Storm antipattern of the Azure
    Architecture Center asks for the same.
    """

    def __init__(self, base_s: float = 0.05, cap_s: float = 1.0, randomness: random.Random | None = None) -> None:
        self._base_s, self._cap_s = base_s, cap_s
        self._random = randomness or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._failures = 0

    def next_wait_s(self) -> float:
        """Count one more failure and return the wait after it, in seconds."""
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return self._random.uniform(0, ceiling)

    def longest_wait_s(self) -> float:
        """As if it had failed many times: for a server that says it is full."""
        self._failures = max(self._failures, 30)
        return self._random.uniform(self._cap_s / 2, self._cap_s)

    def reset(self) -> None:
        """It worked: the next failure starts from the base again."""
        self._failures = 0
