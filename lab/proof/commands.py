"""The commands that prove the app."""

from __future__ import annotations

from lab.proof import bench, compare
from lab.proof.faults import command as faults
from lab.proof.spike import command as spike

COMMANDS = {"spike": spike, "compare": compare, "faults": faults, "bench": bench}
