"""`python -m lab compare`: the same spike under every connection strategy, in turn, and a table."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lab.azure.whole import whole
from lab.proof.outcome import Outcome, Parameters
from lab.proof.results import console, save
from lab.proof.scenarios.scenario import SCENARIOS
from lab.proof.spike.command import add_size, parameters_of
from lab.proof.strategies import OURS, SIDES, STRATEGIES

SETTLE_S = 8.0  # for the last decisions: a strategy that failed has no more to show

HELP = "the same spike with every Redis session, in turn"
DESCRIPTION = """\
The same app under the same spike with each Redis session in turn: the three of 2023, redis-py's defaults, blocking
pools of 1, 2 and 8, and ours. Only the session differs: blueprints, Lua, HTTP and queue are the same code. In the
middle Redis stops answering for a second, as in a failover: then calls pile up, and a pool opens a connection for each.

With --scenario: the sessions alone, valkey-glide and coredis too, in processes of their own, under equal deadlines."""
EXAMPLES = f"""\
examples:
  python -m lab compare                                 scaled down, about 3 minutes
  python -m lab compare --report build/compare          side by side, as a page with pictures
  python -m lab compare --instances 200 --client-limit 256 --orders 14200 --seconds 60

  python -m lab compare --scenario all                  ten scenarios, every session, three rounds: about 20 minutes
  python -m lab compare --scenario stop --side ours --side blocking-pool-1

strategies: {", ".join(STRATEGIES)}
scenarios: {", ".join(SCENARIOS)}
sides: {", ".join(SIDES)}

Exit code 1 if ours broke a promise; the others are there to compare, and are not judged."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_size(
        parser, Parameters(OURS, orders=3_000, users=1_000, instances=40, client_limit=52, seconds=15.0, pause=1.0)
    )
    parser.add_argument("--strategy", action="append", choices=STRATEGIES, help="this one (repeatable; default: all)")
    alone = parser.add_argument_group("the sessions alone")
    names = [*SCENARIOS, "all"]
    alone.add_argument("--scenario", action="append", choices=names, help="this scenario (repeatable), or all ten")
    alone.add_argument("--side", action="append", choices=SIDES, help="this session (repeatable; default: all)")
    alone.add_argument("--rounds", type=whole(), default=3, metavar="N", help="interleaved rounds (default: 3)")
    alone.add_argument("--quick", action="store_true", help="one round of shorter cells: about 6 minutes")


def run(options: argparse.Namespace) -> int:
    """Run each strategy, or each scenario, in turn, report; returns the exit code."""
    if options.scenario:
        from lab.proof.scenarios import command

        scenarios = list(SCENARIOS) if "all" in options.scenario else options.scenario
        return command.run(options, scenarios, options.side or list(SIDES))
    return _run_app(options)


def _run_app(options: argparse.Namespace) -> int:
    from lab.proof.report.page import write_report
    from lab.proof.spike.local import carried_out, plan_of
    from lab.proof.spike.progress import Progress
    from lab.proof.spike.run import spike
    from lab.proof.spike.table import broken, show

    async def all_of_them(strategies: list[str], progress: Progress) -> list[Outcome]:
        found = []
        for strategy in strategies:
            progress.prefix = f"{strategy}: "
            parameters = parameters_of(options, strategy)
            found.append(await spike(parameters, plan_of(parameters), progress, SETTLE_S))
        return found

    def report(outcomes: list[Outcome]) -> bool:
        document = {"runs": [asdict(outcome) for outcome in outcomes]}
        save(options, document, lambda folder, typed: write_report(folder, title(outcomes), outcomes, typed))
        show(outcomes, console())
        return any(outcome.strategy == OURS and broken(outcome) for outcome in outcomes)

    progress = Progress()
    return carried_out(all_of_them(options.strategy or list(STRATEGIES), progress), progress, report)


def title(outcomes: list[Outcome]) -> str:
    first = outcomes[0]
    return f"{first.orders:,} orders, {first.instances} instances, {first.client_limit} Redis clients and no more"
