"""What is to go wrong: the service looks here while it works. Empty until `faults` is asked for something."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from .errors import Refusal


@dataclass
class FaultPlan:
    """What the service looks at while it works."""

    refusals: deque[Refusal] = field(default_factory=deque)
    cuts: int = 0
    copies: int = 0
    losses: int = 0
    latency_s: float = 0.0
    mute: bool = False

    def check_send(self) -> None:
        """Raises Refusal if this send is to be refused."""
        if self.refusals:
            raise self.refusals.popleft()

    def take(self, fault: Literal["cuts", "copies", "losses"]) -> bool:
        """Whether this fault is to happen now; then it is to happen once less."""
        left: int = getattr(self, fault)
        setattr(self, fault, max(left - 1, 0))
        return left > 0
