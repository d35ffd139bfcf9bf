"""The commands that prove the app."""

from __future__ import annotations

from lab.proof import bench, compare
from lab.proof.faults import command as faults
from lab.proof.spike import command as spike

COMMANDS = {"spike": spike, "compare": compare, "faults": faults, "bench": bench}
EXAMPLES = """\
  python -m lab spike                   35,480 orders on 200 instances, with 256 Redis clients and no more
  python -m lab compare                 the same spike under every connection strategy
  python -m lab faults                  break Redis, Service Bus and instances under the app
  python -m lab faults --redis-cluster 3  the same on a Redis Cluster: failovers, moving slots, nodes that come and go
  python -m lab compare --scenario all  ten sessions in ten situations, under equal deadlines
  python -m lab faults --session        the same sessions under 14 faults
"""
