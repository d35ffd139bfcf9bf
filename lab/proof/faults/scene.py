"""What a fault may touch while customers order: the stage, the load, the books, and Redis itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.proof.faults.pace import Pace
from lab.proof.faults.redis import Target
from lab.proof.spike.load import Load
from lab.proof.spike.stage import Stage
from lab.tickets.books import Books


@dataclass
class Scene:
    """`stock`: of the drop now. `completed`: order ids whose message was completed before Redis lost its data.

    `notes`: what went wrong beside the load.
    """

    stage: Stage
    load: Load
    books: Books
    pace: Pace
    stock: int
    completed: frozenset[str] = frozenset()
    replayed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def target(self) -> Target:
        """Redis, and what is between it and the instances."""
        assert self.stage.proxy is not None  # noqa: S101 - every trial's plan is `proxied`
        return Target(self.stage.redis, self.stage.proxy)
