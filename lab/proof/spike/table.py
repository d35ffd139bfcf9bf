"""The outcomes of spikes as a table for people, and which promises ours broke."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from lab.proof import wide_table
from lab.proof.fleet.budget import LAB_CLIENTS
from lab.proof.outcome import Outcome
from lab.proof.strategies import TITLES

PLAIN_WIDTH = 200
COLUMNS = (
    "orders",
    "accepted",
    "confirmed",
    "refused",
    "failed",
    "lost",
    "decided_twice",
    "oversold",
    "dead_lettered",
    "undecided",
)
HEADINGS = (
    "strategy",
    *(name.replace("_", " ") for name in COLUMNS),
    *("seconds", "orders/s", "peak clients", "refused connects", "p50 / p99 ms"),
)


def broken(outcome: Outcome) -> list[str]:
    """Each promise of ours that does not hold, in words; none if all do."""
    most = outcome.instances + LAB_CLIENTS
    checks = [
        (outcome.failed > 0, f"{outcome.failed} answers were not the expected ones: {outcome.failures}"),
        (outcome.lost > 0, f"{outcome.lost} accepted orders are lost"),
        (outcome.undecided > 0, f"{outcome.undecided} accepted orders are still undecided"),
        (outcome.decided_twice > 0, f"{outcome.decided_twice} decided twice"),
        (outcome.oversold > 0, f"{outcome.oversold} sold beyond the stock"),
        (outcome.dead_lettered > 0, f"{outcome.dead_lettered} messages were given up"),
        (outcome.peak_clients > most, f"{outcome.peak_clients} Redis clients, {most} allowed"),
        (outcome.refused_connections > 0, f"Redis refused {outcome.refused_connections} connections"),
    ]
    return [text for is_broken, text in checks if is_broken]


def show(outcomes: Sequence[Outcome], console: Console | None = None) -> None:
    """The numbers of each outcome, then what ours promised."""
    console = console or Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    rows = [
        (
            TITLES[one.strategy],
            *(f"{getattr(one, name):,}" for name in COLUMNS),
            f"{one.seconds:.0f}",
            f"{one.orders_per_second:.0f}",
            f"{one.peak_clients} / {one.client_limit}",
            f"{one.refused_connections:,}",
            f"{one.p50_ms:,.0f} / {one.p99_ms:,.0f}",
        )
        for one in outcomes
    ]
    wide_table.show(HEADINGS, rows, console)
    for one in outcomes:
        if one.strategy == "ours":
            found = broken(one)
            console.print(f"[red]ours: {'; '.join(found)}[/red]" if found else "ours: every promise kept")
        elif one.failures:
            console.print(f"{one.strategy}: answers that failed, by status: {one.failures}", markup=False)
    for one in outcomes:
        if one.cpu_s:
            spent = ", ".join(f"{role} {seconds:.0f}" for role, seconds in one.cpu_s.items())
            console.print(f"{one.strategy}: CPU seconds: {spent}", markup=False)
