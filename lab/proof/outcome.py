"""What one spike counted: the numbers, how they came about over time, on which machine. Data only."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.tickets.books import Audit


@dataclass
class Moment:
    """One sample. `t`: seconds since the first scheduled request. Totals since the start unless said otherwise.

    `clients`: the most that Redis had since the last sample, the lab's own included; None while it does not answer.
    `instances`: that can serve now. `waiting`: requests without an answer now. `queue`: messages on the queue now.
    """

    t: float
    clients: int | None
    refused_connections: int
    instances: int
    waiting: int
    scheduled: int
    accepted: int
    failed: int
    queue: int
    decided: int


@dataclass
class Parameters:
    """What was asked for. `seconds`: the schedule's length; `stock` None: enough for everybody.

    `pause`: seconds for which Redis stops answering in the middle, as in a failover.
    """

    strategy: str
    orders: int
    users: int
    instances: int
    client_limit: int
    seconds: float
    stock: int | None = None
    seed: int = 1
    pause: float = 0.0


@dataclass
class Outcome(Audit):
    """One spike. `seconds`: from the first scheduled request to the last decision; times in ms from the scheduled time.

    `refused`: answered 409 sold-out or decided as refused. `failed`: every answer that was not the expected one.
    `lost`, `decided_twice`, `oversold`: see lab/tickets/books.py. `undecided`: accepted, and still queued.
    `peak_clients`: of Redis, the lab's own included. `cpu_s`: CPU seconds by role. `failures`: by status or kind.
    `latency_ms` and `decision_ms`: [percentile, ms] of an answer, and from the record to the decision.
    """

    strategy: str
    instances: int
    stock: int
    orders: int = 0
    accepted: int = 0
    failed: int = 0
    seconds: float = 0.0
    orders_per_second: float = 0.0
    peak_clients: int = 0
    client_limit: int = 0
    refused_connections: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    failures: dict[str, int] = field(default_factory=dict)
    latency_ms: list[tuple[float, float]] = field(default_factory=list)
    decision_ms: list[tuple[float, float]] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    timeline: list[Moment] = field(default_factory=list)
    parameters: Parameters | None = None
    machine: dict[str, str] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """The numbers without the series that the pictures are drawn from."""
        series = ("timeline", "latency_ms", "decision_ms")
        return {name: value for name, value in asdict(self).items() if name not in series}


PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100)


def percentiles(values: list[float]) -> list[tuple[float, float]]:
    """[percentile, value] of PERCENTILES, by the nearest rank; empty if there are no values."""
    ordered = sorted(values)
    return [(share, ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]) for share in PERCENTILES if ordered]
