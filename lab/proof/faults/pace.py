"""How large and how long every trial is: a small fleet by default, 200 instances and unscaled times in full."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.redis_session import Clocks

PATIENCE_S, LOCK_S, RENEWAL_S = 120.0, 60.0, 300.0  # as deployed: PATIENCE_S, the queue's lock, host.json


@dataclass(frozen=True)
class Pace:
    """Seconds, unless the name says otherwise.

    `before_s`: the load rises. `outage_s`: of short faults. `hole_s`: of a pause and a black hole, longer than the
    session's stall clock. `lock_s`: of the queue, so how long a killed instance's message waits. `after_s`: load beyond
    the recovery bound.
    `scale`: by how much patience, lock and the long outages are shortened. What a delivery takes besides is not: by 60
    a message was now and then delivered four times in ten minutes instead of five.
    `outage_fleet`: HTTP and fulfilment instances of the long outages.
    """

    instances: int = 40
    client_limit: int = 64
    orders_per_s: float = 40.0
    clocks: Clocks = field(default_factory=Clocks)
    before_s: float = 3.0
    outage_s: float = 3.0
    hole_s: float = 7.0
    lock_s: float = 5.0
    after_s: float = 2.0
    settle_s: float = 60.0
    repeats: int = 15
    scale: float = 40.0
    outage_fleet: tuple[int, int] = (4, 12)

    @property
    def patience_s(self) -> float:
        """Of fulfil_order, in a long outage."""
        return PATIENCE_S / self.scale


DEFAULT = Pace()
FULL = Pace(
    instances=200,
    client_limit=256,
    orders_per_s=120.0,
    before_s=20.0,
    outage_s=5.0,
    hole_s=15.0,
    lock_s=LOCK_S,
    settle_s=180.0,
    scale=1.0,
)
QUICK = Pace(
    instances=6,
    client_limit=20,
    orders_per_s=25.0,
    clocks=Clocks(ping_s=0.5, connect_s=1.5, stall_s=1.5, reply_s=6.0, idle_check_s=15.0),
    before_s=1.0,
    outage_s=1.0,
    hole_s=2.5,
    lock_s=2.0,
    after_s=0.5,
    outage_fleet=(1, 2),
)
