"""`python -m lab session-faults`: breaks Redis in every way we know under the session, and says what it kept.

Only parses, spreads the trials over processes and reports; each trial has a fresh process, server and proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console

from lab.proof.session_faults.faults import FAULTS
from lab.proof.session_faults.outcome import Outcome
from lab.proof.session_faults.pace import FULL, QUICK, Pace
from lab.proof.session_faults.report import as_json, show, verdicts
from lab.proof.session_faults.trial import endure
from lab.proof.strategies import OURS

SIDES = (OURS, "redis-py", "strategy3")
PLAIN_WIDTH = 150

DESCRIPTION = (
    "Prove the Redis session under faults: on real servers, under load, next to plain redis-py and strategy 3."
)
EXAMPLES = f"""\
examples:
  python -m lab session-faults                           everything, about 5 minutes
  python -m lab session-faults --quick                   scaled down, about 90 seconds
  python -m lab session-faults --side ours --only kill   one fault, our session alone
  python -m lab session-faults --server /usr/bin/redis-server

faults: {", ".join(FAULTS)}

Every call of ours has a deadline through RedisService.run; the other sides run as people write them, without one.
A call that the lab had to end counts as hung, a server client after recovery beyond one as leaked, a charge that ran
more than once as done twice, a good answer that the server knows nothing of as lost. Exit code 1 if our session broke
a promise; the others are there to compare, nobody judges them."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `session-faults`."""
    parser = commands.add_parser(
        "session-faults",
        help="break Redis under the session in 14 ways, and count",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=FAULTS, metavar="NAME", help="this fault (repeatable)")
    parser.add_argument("--side", action="append", choices=SIDES, help="this side (repeatable; default: all three)")
    parser.add_argument("--quick", action="store_true", help="shorter faults and shorter clocks")
    parser.add_argument("--server", type=Path, metavar="PATH", help="another server, e.g. /usr/bin/redis-server")
    parser.add_argument("--jobs", type=int, default=3, metavar="N", help="trials at the same time (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was counted to FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the trials, report; returns the exit code."""
    pace = QUICK if options.quick else FULL
    began = time.monotonic()
    outcomes = run_all(options.only or list(FAULTS), options.side or list(SIDES), pace, options.server, options.jobs)
    if options.json:
        report = as_json(outcomes, pace, time.monotonic() - began)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    show(outcomes, pace, Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH))
    return 1 if any(verdicts(outcomes, pace).values()) else 0


def run_all(faults: list[str], sides: list[str], pace: Pace, binary: Path | None, jobs: int) -> list[Outcome]:
    """Every fault on every side, `jobs` at a time. Raises what a trial raises."""
    warmed = multiprocessing.get_context("forkserver")
    warmed.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(jobs, mp_context=warmed, max_tasks_per_child=1) as processes:
        running = [processes.submit(run_one, fault, side, pace, binary) for fault in faults for side in sides]
        return [trial.result() for trial in running]


def run_one(fault: str, side: str, pace: Pace, binary: Path | None) -> Outcome:
    """One trial, in a process of its own: what the other sides leave behind ends with it."""
    logging.disable(logging.CRITICAL)  # a session that is broken on purpose logs what it is meant to log
    warnings.simplefilter("ignore")
    return asyncio.run(endure(FAULTS[fault], side, pace, binary))
