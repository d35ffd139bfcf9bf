"""`python -m lab faults`: breaks what the app, or its Redis session alone, depends on, and says what it kept."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from lab.azure.up import FEWEST_PRIMARIES
from lab.azure.whole import whole
from lab.proof import wide_table
from lab.proof.report import tables
from lab.proof.results import add_results, console, save
from lab.proof.strategies import OURS, SIDES

if TYPE_CHECKING:
    from lab.proof.faults.outcome import Outcome
    from lab.proof.faults.pace import Pace
    from lab.proof.spike.progress import Progress

# Named here, not imported: every other command would pay for what a fleet needs.
NAMES = (
    *("kill", "empty", "pause", "black-hole", "read-only", "full-server", "client-kill", "script-flush"),
    *("link-detach", "server-busy", "duplicates"),
    *("instance-kill", "worker-crash-loop", "scale-in", "drain", "vanish"),
    *("outage", "long-outage", "crowded-outage"),
)
OF_A_SESSION = (
    *("kill", "pause", "long-pause", "client-kill", "black-hole", "idle-close", "full-server", "read-only"),
    *("loading", "trickle", "bulk", "script-flush", "password-change", "cut-reply"),
)
OF_A_CLUSTER = ("failover", "lossy-failover", "slot-move", "shard-pause", "node-comes-and-goes")
OURS_FIRST = [OURS, *(side for side in SIDES if side != OURS)]

HELP = f"break Redis, Service Bus and instances in the middle of a spike, in {len(NAMES)} ways; or Redis alone"
DESCRIPTION = """\
Prove the whole app under faults: one fault in the middle of a spike, while customers repeat each 503 as the API says.
Afterwards the results are checked against Redis and the queue. With --session: the Redis session alone, under a steady
load and one fault, next to nine others, all under the same deadline."""
EXAMPLES = f"""\
examples:
  python -m lab faults                          everything on 40 instances, about 6 minutes
  python -m lab faults --only kill --only vanish
  python -m lab faults --quick                  6 instances and short clocks, about 3 minutes
  python -m lab faults --full                   200 instances, full-length times: more than an hour
  python -m lab faults --redis-cluster 3        on a Redis Cluster of three primaries, with faults of its own
  python -m lab faults --session                ten sessions alone, about 15 minutes; with --quick 5
  python -m lab faults --session --side ours --only trickle

faults: {", ".join(NAMES)}
of a cluster: {", ".join(OF_A_CLUSTER)}
with --session: {", ".join(OF_A_SESSION)}

Exit code 1 if an accepted order was lost, one was decided twice, more was sold than there was, a Redis client leaked,
or customers saw anything but 503 (404 while Redis is empty) or saw it for longer than promised. With --session: if
ours let a call hang, leaked a connection, did a change twice, lost one that it confirmed, or came back too late."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--redis-cluster",
        type=whole(FEWEST_PRIMARIES),
        metavar="N",
        help="faults of a Redis Cluster of N primaries, on one",
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="this fault (repeatable)")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--full", action="store_true", help="200 instances, 256 clients, full-length times")
    pace.add_argument("--quick", action="store_true", help="6 instances, short faults and clocks")
    add_results(parser)
    alone = parser.add_argument_group("the Redis session alone")
    alone.add_argument("--session", action="store_true", help="no app: sessions under a steady load")
    alone.add_argument("--side", action="append", choices=SIDES, help="this session (repeatable; default: all)")
    alone.add_argument("--jobs", type=whole(), default=3, metavar="N", help="trials at the same time (default: 3)")


def run(options: argparse.Namespace) -> int:
    """Run the trials, report; returns the exit code."""
    known = OF_A_SESSION if options.session else OF_A_CLUSTER if options.redis_cluster else NAMES
    if unknown := set(options.only or ()) - set(known):
        options.usage_error(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    if not options.session:
        return _run_app(options)
    from lab.proof.faults.session import command

    return command.run(options, options.side or OURS_FIRST)


def _run_app(options: argparse.Namespace) -> int:
    from lab.proof.faults.pace import DEFAULT, FULL, QUICK
    from lab.proof.report.page import write_faults
    from lab.proof.spike.local import carried_out
    from lab.proof.spike.progress import Progress

    names = options.only or (OF_A_CLUSTER if options.redis_cluster else NAMES)
    pace, progress, began = FULL if options.full else QUICK if options.quick else DEFAULT, Progress(), time.monotonic()

    def report(outcomes: list[Outcome]) -> bool:
        document = as_json(outcomes, pace, time.monotonic() - began)
        save(options, document, lambda folder, typed: write_faults(folder, document, typed))
        show(document["faults"], console())
        return any(outcome.broken for outcome in outcomes)

    return carried_out(endure_all(names, pace, progress, options.redis_cluster or 1), progress, report)


async def endure_all(names: Sequence[str], pace: Pace, progress: Progress, primaries: int = 1) -> list[Outcome]:
    """Every fault in turn; the long outages, which mostly wait, beside each other at the end."""
    from lab.proof.faults import cluster, faults, outage, trial

    inflicted, outcomes = {**faults.FAULTS, **cluster.FAULTS}, []
    for name in [name for name in names if name in inflicted]:
        progress.prefix = f"{name}: "
        outcomes.append(await trial.endure(inflicted[name], pace, progress, primaries))
    progress.prefix = ""
    waiting = [outage.OUTAGES[name] for name in names if name in outage.OUTAGES]
    return outcomes + list(await asyncio.gather(*(outage.endure(one, pace, progress) for one in waiting)))


def as_json(outcomes: Sequence[Outcome], pace: Pace, seconds: float) -> dict[str, Any]:
    """Everything that was counted, and how long it took in all."""
    return {
        "faults": [asdict(outcome) for outcome in outcomes],
        "instances": pace.instances,
        "client_limit": pace.client_limit,
        "scale": pace.scale,
        "seconds": round(seconds, 1),
    }


def show(faults: Sequence[Mapping[str, Any]], console: Console) -> None:
    wide_table.show(tables.FAULT_HEADINGS, list(map(tables.fault_numbers, faults)), console)
    for one in faults:
        said = "; ".join(one["broken"] or ["ok", *one["remarks"]])
        console.print(Text(f"{one['name']}: {said}", style="red" if one["broken"] else ""))
