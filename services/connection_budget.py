"""The connection budget: how many Redis clients the whole app may open, and how many it opens at full scale-out.

    instances = scale_groups x scale_out_limit + always_ready
    clients   = instances x worker_processes x (primaries + connections_per_worker - 1)
    clients  <= tier_limit x (100 - headroom_percent) / 100

The one table of limits, redis_tiers.json, is read by this module, by the Bicep files and by the tests; every row has
its source and the day it was looked up. Pure arithmetic: no I/O but reading that table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from services.errors import OverBudget

TABLE = Path(__file__).with_name("redis_tiers.json")
ZONE_REDUNDANT_READY = 2  # instances of each scale group
FLEX_SCALE_GROUPS = 2  # all HTTP functions together, and fulfil_order (azure-functions/event-driven-scaling)


@cache
def tier_limits() -> dict[str, int]:
    """Tier name -> clients that it accepts."""
    tiers: dict[str, dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))["tiers"]
    return {name: row["clients"] for name, row in tiers.items()}


def kept_ready(*asked: int, zone_redundant: bool = False) -> int:
    """Always-ready instances of all scale groups, from what was asked for each.

    A zone-redundant plan keeps at least two of each group, whatever was asked (reliability/reliability-functions).
    """
    return sum(max(one, ZONE_REDUNDANT_READY if zone_redundant else 0) for one in asked)


@dataclass(frozen=True)
class ConnectionBudget:
    """The inputs of the formula, each an app setting that the Bicep files write (worker_processes: the platform's).

    Args:
        tier: a name of redis_tiers.json, e.g. `Basic_C0`.
        scale_out_limit: most instances of one scale group.
        scale_groups: 2 on Flex Consumption, 1 on Premium and Consumption.
        always_ready: instances on top of the limit (`kept_ready`).
        worker_processes: Python processes per instance (FUNCTIONS_WORKER_PROCESS_COUNT; always 1 on Flex).
        connections_per_worker: upper bound of one process; 1 is the multiplexed connection alone.
        primaries: of an OSS cluster, each of which every process connects to; else 1.
        headroom_percent: kept free for vanished instances and for old and new ones overlapping in a deployment.
    """

    tier: str
    scale_out_limit: int
    scale_groups: int = FLEX_SCALE_GROUPS
    always_ready: int = 0
    worker_processes: int = 1
    connections_per_worker: int = 1
    headroom_percent: int = 20
    primaries: int = 1
    service: ClassVar[str] = "Redis"  # another dependency's budget names another, and overrides `tier_clients`

    @property
    def instances(self) -> int:
        """Instances when every scale group is at its limit."""
        return self.scale_groups * self.scale_out_limit + self.always_ready

    @property
    def clients(self) -> int:
        """Redis clients that all of them open."""
        return self.instances * self.worker_processes * self.clients_per_process

    @property
    def clients_per_process(self) -> int:
        """One for each primary, and the side connections."""
        return self.primaries + self.connections_per_worker - 1

    @property
    def tier_clients(self) -> int:
        """Clients that the tier accepts. Raises KeyError for one that the table lacks."""
        return tier_limits()[self.tier]

    @property
    def usable(self) -> int:
        """Clients of the tier after the headroom. Raises KeyError for a tier that the table lacks."""
        return self.tier_clients * (100 - self.headroom_percent) // 100

    @property
    def largest_safe_limit(self) -> int:
        """The largest scale-out limit that the tier carries; 0 if none does."""
        per_instance = self.worker_processes * self.clients_per_process
        return max(0, (self.usable // per_instance - self.always_ready) // self.scale_groups)

    def check(self) -> None:
        """Raise OverBudget, with the numbers and the largest safe limit, if the tier cannot carry full scale-out."""
        if self.clients <= self.usable:
            return
        at_least = replace(self, scale_out_limit=1)
        mend = (
            f"Set the scale-out limit to {self.largest_safe_limit} or less, or choose a larger tier."
            if at_least.clients <= self.usable
            else "No scale-out limit fits: choose a larger tier, or fewer connections per worker."
        )
        raise OverBudget(
            f"{self.service} connection budget exceeded: {self.tier} allows {self.tier_clients} clients, {self.usable} "
            f"with {self.headroom_percent} % headroom; {self.scale_groups} scale group(s) x {self.scale_out_limit} + "
            f"{self.always_ready} always ready = {self.instances} instances, x {self.worker_processes} worker "
            f"process(es) x {self.clients_per_process} connection(s) = {self.clients} clients. {mend}"
        )
