"""`python -m lab spike`: thousands of orders in a few minutes on a fleet of this machine."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from lab.proof.outcome import Parameters
from lab.proof.strategies import OURS, STRATEGIES, TITLES

DESCRIPTION = """\
The experiment of 2023 on one machine: a fleet of instances of this app, each a process with sessions of its own, behind
one HTTP front; a Redis that lets in so many clients and no more; a Service Bus; and thousands who order in the same
minutes. Every accepted order is followed to its decision, and the books are checked against Redis and the queue."""
WRITTEN_TO = ("--json", "--report")  # options of where results go
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


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `spike`."""
    parser = commands.add_parser(
        "spike",
        help="35,480 orders on 200 instances, against a Redis that lets in 256 clients",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_size(parser, Parameters(OURS, orders=35_480, users=10_000, instances=200, client_limit=256, seconds=150.0))
    parser.add_argument("--strategy", choices=STRATEGIES, default=OURS, help="the Redis session (default: ours)")
    parser.add_argument(
        "--fulfilment", type=whole, metavar="N", help="instances of the Service Bus group (default: half of them)"
    )
    parser.set_defaults(run=run)


def add_size(parser: argparse.ArgumentParser, default: Parameters) -> None:
    """The options that say how large a spike is, and where its results go."""
    size = parser.add_argument_group("size")
    for name, text in (
        ("orders", "orders, one ticket each"),
        ("users", "distinct customers"),
        ("instances", "instances at full scale-out, half of them HTTP"),
        ("client-limit", "clients that Redis lets in"),
    ):
        value = getattr(default, name.replace("-", "_"))
        size.add_argument(f"--{name}", type=whole, default=value, metavar="N", help=f"{text} (default: {value})")
    size.add_argument(
        "--seconds",
        type=float,
        default=default.seconds,
        metavar="S",
        help=f"of the schedule (default: {default.seconds:g})",
    )
    size.add_argument("--stock", type=whole, metavar="N", help="tickets on sale (default: enough for all)")
    size.add_argument("--seed", type=int, default=default.seed, metavar="N", help="of the arrival times (default: 1)")
    size.add_argument(
        "--pause",
        type=float,
        default=default.pause,
        metavar="S",
        help=f"Redis stops answering for so long in the middle, as in a failover (default: {default.pause:g})",
    )
    results = parser.add_argument_group("results")
    results.add_argument("--json", type=Path, metavar="FILE", help="write everything that was counted to FILE")
    results.add_argument("--report", type=Path, metavar="DIR", help="write a page with pictures to DIR/README.md")


def whole(text: str) -> int:
    """A number from 1 on. Raises ArgumentTypeError."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def parameters_of(options: argparse.Namespace, strategy: str) -> Parameters:
    """What the options ask for."""
    return Parameters(
        strategy=strategy,
        orders=options.orders,
        users=options.users,
        instances=options.instances,
        client_limit=options.client_limit,
        seconds=options.seconds,
        stock=options.stock,
        seed=options.seed,
        pause=options.pause,
    )


def run(options: argparse.Namespace) -> int:
    """Run it, report; returns the exit code."""
    from lab.proof.report.page import write_report
    from lab.proof.spike.local import plan_of, readable_errors, run_until_signal
    from lab.proof.spike.progress import Progress
    from lab.proof.spike.run import spike
    from lab.proof.spike.table import broken, show

    parameters, progress = parameters_of(options, options.strategy), Progress()
    with readable_errors(progress) as ending:
        outcome = run_until_signal(spike(parameters, plan_of(parameters, options.fulfilment), progress))
        progress.done()
        if options.json:
            options.json.write_text(json.dumps(outcome.to_json(), indent=1) + "\n", encoding="utf-8")
        show([outcome])
        if options.report:
            title = f"{outcome.orders:,} orders: {TITLES[outcome.strategy]}"
            print(f"report: {write_report(options.report, title, [outcome], command=typed(sys.argv[1:]))}")
        ending.code = 1 if outcome.strategy == OURS and broken(outcome) else 0
    return ending.code


def typed(arguments: list[str]) -> str:
    """The command line as one would type it to see the same: without where its results were written."""
    where = {at for at, word in enumerate(arguments) if word in WRITTEN_TO}
    kept = [word for at, word in enumerate(arguments) if not {at, at - 1} & where]
    return shlex.join(["python", "-m", "lab", *kept])
