"""`python -m lab session-fleet`: 200 processes against 250 clients, with our session and with what people use."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.proof.session_fleet.census import Census, Size, take
from lab.proof.session_fleet.instance import MOST_CALLS
from lab.proof.strategies import OURS, STRATEGIES, TITLES

PLAIN_WIDTH = 150

DESCRIPTION = "A fleet of worker processes against the client limit of one Redis, per strategy."
EXAMPLES = f"""\
examples:
  python -m lab session-fleet                              every strategy, about 3 minutes
  python -m lab session-fleet --strategy ours              our session alone, about 10 seconds
  python -m lab session-fleet --processes 100 --callers 16

strategies: {", ".join(STRATEGIES)}

Every process calls in rounds of --callers at once, one round per second. Exit code 1 if with our session a call failed
or there was more than one client per process; the others are there to compare."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `session-fleet`."""
    parser = commands.add_parser(
        "session-fleet",
        help="200 processes against a server that lets in 250 clients",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    size = Size()
    parser.add_argument("--processes", type=int, default=size.processes, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--callers", type=int, default=size.callers, metavar="N", help="at once in each (%(default)s)")
    parser.add_argument("--client-limit", type=int, default=size.client_limit, metavar="N", help="maxclients (250)")
    parser.add_argument("--rounds", type=int, default=size.rounds, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--strategy", action="append", choices=STRATEGIES, help="this one (repeatable; default: all)")
    parser.add_argument("--server", type=Path, metavar="PATH", help="another server, e.g. /usr/bin/redis-server")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was counted to FILE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run each strategy in turn, report; returns the exit code."""
    size = Size(options.processes, options.callers, options.client_limit, options.rounds)
    if size.callers * size.rounds > MOST_CALLS:
        print(f"--callers times --rounds may be {MOST_CALLS} at most", file=sys.stderr)
        return 2
    found = [take(strategy, size, options.server) for strategy in options.strategy or STRATEGIES]
    if options.json:
        options.json.write_text(json.dumps({"size": asdict(size), "census": [asdict(c) for c in found]}, indent=1))
    show(found, size, Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH))
    return 1 if any(broken(census, size) for census in found if census.strategy == OURS) else 0


def broken(census: Census, size: Size) -> bool:
    """Whether it breaks what our session promises: no failed call, no more clients than processes."""
    return census.failed > 0 or census.peak_clients > size.processes


def show(found: list[Census], size: Size, console: Console) -> None:
    """One row per strategy."""
    title = f"{size.processes} processes x {size.callers} callers, {size.client_limit} clients allowed"
    table = Table("strategy", title=title)
    for name in ("calls", "failed", "peak clients", "refused connects", "connects", "p50 / p99 ms"):
        table.add_column(name, justify="right")
    for one in found:
        numbers = (one.calls, one.failed, one.peak_clients, one.refused_connects, one.connects)
        table.add_row(TITLES[one.strategy], *map(str, numbers), f"{one.p50_ms} / {one.p99_ms}")
    console.print(table)
    for one in found:
        if one.strategy == OURS:
            console.print("ours: [red]broken[/red]" if broken(one, size) else "ours: ok", one.failures or "")
