"""What can be set on a queue, in the units the code uses.

Values only: how Microsoft's `Config.json` spells them is `config`'s business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """A queue's settings. Times in seconds, `inf` means never.

    The defaults of the first four are the service's own (page "Create a Service Bus queue"). `max_messages` and
    `max_bytes` take the place of the service's maximum queue size and, as there, count the dead-letter queue too.
    `duplicate_history` bounds how many MessageIds are remembered: past it the oldest is forgotten early.
    """

    lock_duration_s: float = 60.0
    max_delivery_count: float = 10
    default_ttl_s: float = math.inf
    dead_letter_on_expiration: bool = False
    duplicate_window_s: float = 0.0  # 0 is no duplicate detection
    max_messages: int = 200_000
    max_bytes: int = 256 * 1024 * 1024
    duplicate_history: int = 1_000_000

    def __post_init__(self) -> None:
        for name in ("lock_duration_s", "max_delivery_count", "default_ttl_s", "max_messages", "max_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"QueueConfig.{name} is {getattr(self, name)!r}: give a number above 0")
        if self.duplicate_window_s < 0 or self.duplicate_history < 1:
            raise ValueError("QueueConfig.duplicate_window_s must be 0 (off) or more, duplicate_history 1 or more")
