"""Forks the fleet from one process that has everything imported: 200 interpreters would take minutes and gigabytes.

Run as `python -m lab.proof.session_fleet.nursery TASK` by the command, single-threaded, as a fork demands. It must
never outlive its parent, nor its children itself.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import time

from lab.azure.leash import ask_kernel
from lab.azure.processes import HAS_PDEATHSIG
from lab.proof.session_fleet.instance import Task, become

PATIENCE_S = 60.0  # beyond the last round: what a strategy may take that keeps no deadline


def fork(task: Task) -> list[int]:
    """The children's pids."""
    nursery, pids = os.getpid(), []
    gc.freeze()  # else the first collection copies every page
    for index in range(task.processes):
        pid = os.fork()
        if pid == 0:
            if HAS_PDEATHSIG:
                ask_kernel(nursery)
            become(task, index)
        pids.append(pid)
    return pids


def gather(pids: list[int], ends_at: float) -> None:
    """Wait for all of them, end those that are late."""
    left = set(pids)
    while left:
        for pid in list(left):
            if os.waitpid(pid, os.WNOHANG)[0]:
                left.remove(pid)
        if time.monotonic() > ends_at:
            for pid in left:
                os.kill(pid, signal.SIGKILL)  # ours, and not waited for yet: the pid is still its own
            ends_at = float("inf")
        time.sleep(0.05)


def main(arguments: list[str]) -> None:
    """`arguments`: the Task as JSON."""
    logging.disable(logging.CRITICAL)
    task = Task(**json.loads(arguments[0]))
    gather(fork(task), task.ends_at + PATIENCE_S)


if __name__ == "__main__":
    main(sys.argv[1:])
