"""The broker's clock in these tests: real time, until a test moves it ahead. It must never go back."""

from __future__ import annotations

import time


class Clock:
    """Seconds since 1970, and `ahead_s` more."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s
