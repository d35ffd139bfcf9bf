"""How long everything takes in a trial: at full length the defaults of the design, quick for tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.redis_session import Clocks


@dataclass(frozen=True)
class Pace:
    """All in seconds, unless the name says otherwise.

    `deadline_s`: each call's. `before_s`: load before the fault. `calm_s`: after it, so long without a failure means
    recovered. `observe_s`: how long to wait for that at most. The rest: how long, or how much, of each fault.
    """

    clocks: Clocks = field(default_factory=Clocks)
    callers: int = 20
    think_s: float = 0.05
    deadline_s: float = 2.5
    before_s: float = 1.5
    calm_s: float = 2.0
    observe_s: float = 45.0
    down_s: float = 2.0
    pause_s: float = 3.0
    long_pause_s: float = 15.0
    black_hole_s: float = 15.0
    outage_s: float = 5.0
    loading_s: float = 3.0
    drip_s: float = 4.0
    kills: int = 10
    cuts: int = 10
    bulk_bytes: int = 6_000_000  # six seconds: longer than the stall clock, and sides that leak have files enough
    bulk_bytes_per_s: float = 1_000_000.0


FULL = Pace()
QUICK = Pace(
    clocks=Clocks(ping_s=0.3, connect_s=1.0, stall_s=1.0, reply_s=4.0, idle_check_s=0.5),
    deadline_s=0.8,
    before_s=0.4,
    calm_s=0.5,
    observe_s=9.0,
    down_s=0.5,
    pause_s=0.5,
    long_pause_s=2.5,
    black_hole_s=2.5,
    outage_s=1.0,
    loading_s=1.0,
    drip_s=0.8,
    kills=4,
    cuts=4,
    bulk_bytes=3_000_000,
    bulk_bytes_per_s=2_000_000.0,
)
