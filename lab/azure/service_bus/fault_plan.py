"""What is to go wrong: the service looks here while it works. Empty until `faults` is asked for something."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

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

    def take_cut(self) -> bool:
        """Whether to cut the connection now."""
        self.cuts, cut = max(self.cuts - 1, 0), self.cuts > 0
        return cut

    def take_loss(self) -> bool:
        """Whether to lose this completion."""
        self.losses, lost = max(self.losses - 1, 0), self.losses > 0
        return lost

    def take_copies(self) -> int:
        """How many copies to store besides the message itself."""
        self.copies, copy = max(self.copies - 1, 0), self.copies > 0
        return int(copy)
