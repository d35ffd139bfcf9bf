"""When each order of a spike is due: a ramp, a plateau and a tail. Fixed beforehand, whatever the answers do.

An open loop: a slow answer delays no later order, so no latency is left out (Tene, "How NOT to Measure Latency").
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """`orders` over `seconds`; `ramp` and `tail` are shares of the time. The same seed gives the same times."""

    orders: int
    seconds: float
    seed: int = 1
    ramp: float = 0.2
    tail: float = 0.2

    @property
    def peak(self) -> float:
        return self.orders / self.seconds / (1 - self.ramp / 2 - self.tail / 2)

    def rate(self, t: float) -> float:
        """Orders per second that are due at `t` seconds."""
        share = t / self.seconds
        if not 0 <= share <= 1:
            return 0.0
        rising = share / self.ramp if self.ramp else 1.0
        falling = (1 - share) / self.tail if self.tail else 1.0
        return self.peak * min(1.0, rising, falling)

    def times(self) -> list[float]:
        """Seconds from the start, one per order, in order: one at random in each equal part of the whole."""
        source = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        return sorted(self._when((index + source.random()) / self.orders) for index in range(self.orders))

    def _when(self, part: float) -> float:
        """The time by which this part of all orders is due."""
        height = 1 / (1 - self.ramp / 2 - self.tail / 2)
        if part < height * self.ramp / 2:
            share = math.sqrt(2 * part * self.ramp / height)
        elif part > 1 - height * self.tail / 2:
            share = 1 - math.sqrt(2 * (1 - part) * self.tail / height)
        else:
            share = part / height + self.ramp / 2
        return share * self.seconds
