"""The trials as a table for people, as a page, and as JSON for what compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.proof.faults.session.faults import FAULTS
from lab.proof.faults.session.outcome import Outcome, broken_promises
from lab.proof.faults.session.pace import Pace
from lab.proof.report.markdown import fault, plain, table, unmarked
from lab.proof.report.page import write_page
from lab.proof.strategies import OURS

_NUMBERS = ("calls", "failed", "hung", "longest_s", "opened", "leaked", "done_twice", "lost", "recovery_s")
_HEAD = ("fault", "side", *(name.removesuffix("_s").replace("_", " ") for name in _NUMBERS))


def verdicts(outcomes: list[Outcome], pace: Pace) -> dict[str, list[str]]:
    """Per fault, what our session has broken: an empty list is an ok. Nobody else is judged."""
    return {
        outcome.fault: broken_promises(outcome, FAULTS[outcome.fault], pace)
        for outcome in outcomes
        if outcome.side == OURS
    }


_TEXT = "A *side* is a way to connect to Redis. *Longest* call and *recovery* in seconds."


def as_json(outcomes: list[Outcome], pace: Pace, seconds: float) -> dict[str, Any]:
    """Everything that was counted. `bound_s`: the promised recovery per fault, in seconds."""
    return {
        "pace": asdict(pace),
        "bound_s": {name: fault.bound_s(pace) for name, fault in FAULTS.items()},
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "broken": verdicts(outcomes, pace),
        "seconds": round(seconds, 1),
    }


def write_report(folder: Path, document: Mapping[str, Any], command: str) -> Path:
    """The page of what `as_json` wrote, and its numbers beside it; returns the page. Raises OSError."""
    rows = [_row(outcome) for outcome in document["outcomes"]]
    broken = [f"- {name}: {plain('; '.join(texts))}" for name, texts in document["broken"].items() if texts]
    kept = [{name: one[name] for name in ("fault", "side", *_NUMBERS, "wrong")} for one in document["outcomes"]]
    numbers = {**{name: document[name] for name in ("seconds", "broken", "bound_s")}, "outcomes": kept}
    verdict = "\n".join(["Our session broke promises:", *broken]) if broken else "Our session kept every promise."
    return write_page(folder, "The Redis session under faults", [verdict, _TEXT, table(_HEAD, rows)], numbers, command)


def _row(outcome: Mapping[str, Any]) -> list[str]:
    bad = ("hung", "leaked", "done_twice", "lost")
    cells = (fault(outcome[name]) if name in bad else _shown(outcome[name]) for name in _NUMBERS)
    return [FAULTS[outcome["fault"]].title, outcome["side"], *cells]


def _shown(value: float | None) -> str:
    return "never" if value is None else f"{value:,}"


def show(outcomes: list[Outcome], pace: Pace, console: Console) -> None:
    """One row per fault and side, then a verdict per fault."""
    shown = Table(*_HEAD, title=f"{pace.callers} callers, a deadline of {pace.deadline_s:g} s; seconds")
    for outcome in outcomes:
        shown.add_row(*map(unmarked, _row(asdict(outcome))))
    console.print(shown)
    for name, broken in verdicts(outcomes, pace).items():
        bound = f"(recovery within {FAULTS[name].bound_s(pace):g} s)"
        console.print(f"[red]{name}: {'; '.join(broken)}[/red]" if broken else f"{name}: ok {bound}")
