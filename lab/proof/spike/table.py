"""The outcomes of spikes as a table for people, and which promises ours broke."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from lab.proof import wide_table
from lab.proof.fleet.budget import LAB_CLIENTS
from lab.proof.outcome import Outcome
from lab.proof.report.tables import NUMBERS
from lab.proof.strategies import TITLES


def broken(outcome: Outcome) -> list[str]:
    """Each promise of ours that does not hold, in words; none if all do."""
    most = outcome.instances + LAB_CLIENTS
    checks = [
        (outcome.failed > 0, f"{outcome.failed} answers were not the expected ones: {outcome.failures}"),
        (outcome.peak_clients > most, f"{outcome.peak_clients} Redis clients, {most} allowed"),
        (outcome.refused_connections > 0, f"Redis refused {outcome.refused_connections} connections"),
    ]
    return outcome.broken_books() + [text for is_broken, text in checks if is_broken]


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """The numbers of each outcome, then what ours promised."""
    rows = [[TITLES[one.strategy], *(cell(one) for _, cell in NUMBERS)] for one in outcomes]
    wide_table.show(["strategy", *(name for name, _ in NUMBERS)], rows, console)
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
