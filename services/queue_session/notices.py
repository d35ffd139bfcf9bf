"""What the task that sends has noticed, until a caller logs it in its own invocation: a host may drop other lines."""

from __future__ import annotations

import logging
from collections import deque

REPEAT_S = 60.0  # a reason that lasts is said again, at most so often
MOST = 8  # lines that wait


class Notices:
    """Times are those of the event loop, in seconds."""

    def __init__(self) -> None:
        self._unsaid: deque[tuple[int, str]] = deque(maxlen=MOST)
        self._reason: str | None = None
        self._since = self._noted_at = 0.0

    def failed(self, now: float, reason: str) -> None:
        """One WARNING when the reason changes, and once a minute while it lasts."""
        if self._reason is None:
            self._since = now
        if reason != self._reason or now - self._noted_at >= REPEAT_S:
            self._noted_at = now
            self._unsaid.append((logging.WARNING, f"Service Bus session: {reason}"))
        self._reason = reason

    def good(self, now: float) -> None:
        """One INFO when it is over."""
        if self._reason is not None:
            self._unsaid.append((logging.INFO, f"Service Bus session: sends again, after {now - self._since:.1f} s"))
        self._reason = None

    def say(self, log: logging.Logger) -> None:
        """Log what waits; called by a caller."""
        while self._unsaid:
            log.log(*self._unsaid.popleft())
