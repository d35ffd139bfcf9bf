"""The session's own clocks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Clocks:
    """How long the session waits for each thing, in seconds."""

    ping_s: float = 0.5
    connect_s: float = 5.0
    stall_s: float = 5.0
    reply_s: float = 30.0
    idle_check_s: float = 15.0  # 0: a PING before every use
    topology_s: float = 60.0  # how often a cluster is asked who serves what
    outage_s: float = 2.0  # after so long without a good answer, impatient callers get their error at once
