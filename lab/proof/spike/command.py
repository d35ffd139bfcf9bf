"""`python -m lab spike`: thousands of orders in a few minutes on a fleet of this machine."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields

from lab.azure.whole import whole
from lab.proof.outcome import Outcome, Parameters
from lab.proof.results import add_results, console, save
from lab.proof.strategies import OURS, STRATEGIES, TITLES

HELP = "35,480 orders on 200 instances, against a Redis that allows 256 clients"
DESCRIPTION = """\
The experiment of 2023 on one machine: many instances of this app, each a process with sessions of its own, behind one
HTTP proxy; a Redis with a hard limit of clients; a Service Bus; and thousands who order in the same minutes. Every
accepted order is followed to its decision, and the results are checked against Redis and the queue."""
EXAMPLES = f"""\
examples:
  python -m lab spike                                    35,480 orders, 200 instances, 256 clients: about 3 minutes
  python -m lab spike --instances 40 --client-limit 64 --orders 4000 --seconds 30
  python -m lab spike --stock 5000                       the rest are refused: that is expected
  python -m lab spike --strategy redis-py                the same app with another Redis session
  python -m lab spike --report build/spike               the curves, as a page and as pictures

Against a deployed app: make load.

strategies: {", ".join(STRATEGIES)}

Exit code 1 if an order of ours failed, was lost, decided twice or sold beyond the stock. Figures from here are about
the sessions, not about Functions: the lab's host is lighter than the real one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_size(parser, Parameters(OURS, orders=35_480, users=10_000, instances=200, client_limit=256, seconds=150.0))
    parser.add_argument("--strategy", choices=STRATEGIES, default=OURS, help="the Redis session (default: ours)")


def add_size(parser: argparse.ArgumentParser, default: Parameters) -> None:
    """The options that say how large a spike is, and where its results go."""
    size = parser.add_argument_group("size")
    for name, kind, text in (
        ("orders", whole(), "orders, one ticket each"),
        ("users", whole(), "distinct customers"),
        ("instances", whole(), "instances at full scale-out, half of them HTTP"),
        ("client-limit", whole(), "clients that Redis allows"),
        ("seconds", float, "of the schedule"),
        ("seed", int, "of the arrival times"),
        ("pause", float, "seconds for which Redis stops answering in the middle, as in a failover"),
    ):
        value = getattr(default, name.replace("-", "_"))
        size.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"{text} (default: {value:g})")
    size.add_argument("--stock", type=whole(), metavar="N", help="tickets on sale (default: enough for all)")
    add_results(parser)


def parameters_of(options: argparse.Namespace, strategy: str) -> Parameters:
    return Parameters(strategy, **{one.name: getattr(options, one.name) for one in fields(Parameters)[1:]})


def run(options: argparse.Namespace) -> int:
    """Run it, report; returns the exit code."""
    from lab.proof.report.page import write_report
    from lab.proof.spike.local import carried_out, plan_of
    from lab.proof.spike.progress import Progress
    from lab.proof.spike.run import spike
    from lab.proof.spike.table import broken, show

    parameters, progress = parameters_of(options, options.strategy), Progress()

    def report(outcome: Outcome) -> bool:
        tickets = f", {parameters.stock:,} tickets" if parameters.stock else ""
        title = f"{outcome.orders:,} orders{tickets}: {TITLES[outcome.strategy]}"
        save(options, asdict(outcome), lambda folder, typed: write_report(folder, title, [outcome], typed))
        show([outcome], console())
        return outcome.strategy == OURS and bool(broken(outcome))

    return carried_out(spike(parameters, plan_of(parameters), progress), progress, report)
