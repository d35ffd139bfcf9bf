"""The trials as a table for people, and as JSON for what compares them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.proof.session_faults.faults import FAULTS
from lab.proof.session_faults.outcome import Outcome, broken_promises
from lab.proof.session_faults.pace import Pace
from lab.proof.strategies import OURS

_NUMBERS = ("calls", "failed", "hung", "longest_s", "opened", "leaked", "done_twice", "lost", "recovery_s")


def verdicts(outcomes: list[Outcome], pace: Pace) -> dict[str, list[str]]:
    """Per fault, what our session has broken: an empty list is an ok. Nobody else is judged."""
    return {
        outcome.fault: broken_promises(outcome, FAULTS[outcome.fault], pace)
        for outcome in outcomes
        if outcome.side == OURS
    }


def as_json(outcomes: list[Outcome], pace: Pace, seconds: float) -> dict[str, Any]:
    """Everything that was counted. `bound_s`: the promised recovery per fault, in seconds."""
    return {
        "pace": asdict(pace),
        "bound_s": {name: fault.bound_s(pace) for name, fault in FAULTS.items()},
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "broken": verdicts(outcomes, pace),
        "seconds": round(seconds, 1),
    }


def show(outcomes: list[Outcome], pace: Pace, console: Console) -> None:
    """One row per fault and side, then a verdict per fault."""
    table = Table("fault", "side", title=f"{pace.callers} callers, a deadline of {pace.deadline_s:g} s; seconds")
    for name in _NUMBERS:
        table.add_column(name.removesuffix("_s").replace("_", " "), justify="right")
    for outcome in outcomes:
        row = asdict(outcome)
        cells = ("never" if row[name] is None else str(row[name]) for name in _NUMBERS)
        first = outcome.side == OURS or all(other.side != OURS for other in outcomes)
        table.add_row(FAULTS[outcome.fault].title if first else "", outcome.side, *cells)
    console.print(table)
    for name, broken in verdicts(outcomes, pace).items():
        bound = f"(recovery within {FAULTS[name].bound_s(pace):g} s)"
        console.print(f"[red]{name}: {'; '.join(broken)}[/red]" if broken else f"{name}: ok {bound}")
