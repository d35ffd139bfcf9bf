"""The numbers of the runs and of the faults as tables. Must never round a count or leave one out because it is 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lab.proof.report.markup import Cell, count, fault, paragraph, table
from lab.proof.report.palette import labels
from lab.proof.spike.outcome import Outcome
from lab.proof.strategies import OURS

NOTHING = Cell("\N{EN DASH}")
_NUMBERS: tuple[tuple[str, Callable[[Outcome], Cell]], ...] = (
    ("orders", lambda run: count(run.orders)),
    ("accepted", lambda run: count(run.accepted)),
    ("confirmed", lambda run: count(run.confirmed)),
    ("refused: sold out", lambda run: count(run.refused)),
    ("failed", lambda run: fault(run.failed)),
    ("lost", lambda run: fault(run.lost)),
    ("decided twice", lambda run: fault(run.decided_twice)),
    ("oversold", lambda run: fault(run.oversold)),
    ("dead-lettered", lambda run: fault(run.dead_lettered)),
    ("undecided at the end", lambda run: fault(run.undecided)),
    ("seconds", lambda run: Cell(f"{run.seconds:,.1f}")),
    ("orders per second", lambda run: Cell(f"{run.orders_per_second:,.1f}")),
    ("peak clients / limit", lambda run: Cell(f"{run.peak_clients:,} / {run.client_limit:,}")),
    ("refused connections", lambda run: fault(run.refused_connections)),
    ("answer, p50", lambda run: Cell(milliseconds(run.p50_ms))),
    ("answer, p99", lambda run: Cell(milliseconds(run.p99_ms))),
)
_FAULT_NUMBERS = ("accepted", "lost", "decided_twice", "oversold", "dead_lettered", "leaked")


def milliseconds(ms: float) -> str:
    """A time in ms: to the tenth where that is more than noise."""
    return f"{ms:,.1f} ms" if ms < 100 else f"{ms:,.0f} ms"


def numbers(runs: Sequence[Outcome]) -> str:
    """All numbers, a column per run."""
    return table("All numbers", _head("", runs), [[Cell(name), *map(cell, runs)] for name, cell in _NUMBERS])


def failures(runs: Sequence[Outcome]) -> str:
    """Failed requests by status or kind, the most frequent first."""
    kinds = {kind for run in runs for kind in run.failures}
    ordered = sorted(kinds, key=lambda kind: (-sum(run.failures.get(kind, 0) for run in runs), kind))
    if not ordered:
        return paragraph("No request failed.")
    rows = [[Cell(kind), *(fault(run.failures.get(kind, 0)) for run in runs)] for kind in ordered]
    return table("Failed requests by status or kind", _head("status", runs), rows)


def cpu(runs: Sequence[Outcome]) -> str:
    """CPU seconds per role, and what that is per order."""
    roles = dict.fromkeys(role for run in runs for role in run.cpu_s)
    rows = [[Cell(role), *(_share(run.cpu_s.get(role), run.orders) for run in runs)] for role in roles]
    sums = [[Cell("together"), *(_share(sum(run.cpu_s.values()), run.orders) for run in runs)]]
    return table("Where the CPU goes: seconds, and ms per order", _head("role", runs), rows + sums) if rows else ""


def parameters(runs: Sequence[Outcome]) -> str:
    """What each run was asked for."""
    asked = [asdict(run.parameters) if run.parameters else {} for run in runs]
    return _by_name("Parameters", runs, asked)


def machines(runs: Sequence[Outcome]) -> str:
    """What each run ran on."""
    return _by_name("Machine", runs, [run.machine for run in runs])


def faults(found: Sequence[Mapping[str, Any]]) -> str:
    """A row per fault: the verdict, then what was counted."""
    counted = [Cell(name.replace("_", " ")) for name in _FAULT_NUMBERS]
    times = [Cell("longest answer"), Cell("recovery (bound)")]
    head = [Cell("fault", "text"), Cell("verdict", "text"), *counted, Cell("client errors", "text"), *times]
    return table("The app under faults", head, [_fault_row(one) for one in found])


def _fault_row(one: Mapping[str, Any]) -> list[Cell]:
    broken = [str(text) for text in one.get("broken", ())]
    errors = one.get("client_errors", {})
    counted = [one.get(name, 0) for name in _FAULT_NUMBERS]
    return [
        Cell(str(one.get("title") or one.get("name", "")), "text"),
        Cell("; ".join(broken), "text bad") if broken else Cell("ok", "text good"),
        count(counted[0]),
        *map(fault, counted[1:]),
        Cell(
            ", ".join(f"{number:,} \N{MULTIPLICATION SIGN} {kind}" for kind, number in errors.items()) or "none", "text"
        ),
        Cell(_seconds(one.get("longest_answer_s"))),
        Cell(f"{_seconds(one.get('recovery_s'))} ({_seconds(one.get('bound_s'))})"),
    ]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:,.1f} s"


def _share(seconds: float | None, orders: int) -> Cell:
    if seconds is None:
        return NOTHING
    return Cell(f"{seconds:,.1f} s" + (f" ({seconds * 1000 / orders:,.2f} ms)" if orders else ""))


def _by_name(caption: str, runs: Sequence[Outcome], values: Sequence[Mapping[str, object]]) -> str:
    """One column if all runs say the same."""
    names = dict.fromkeys(name for one in values for name in one)
    if not names:
        return ""
    alike = all(one == values[0] for one in values)
    head = [Cell(""), Cell("all runs" if len(runs) > 1 else "this run")] if alike else _head("", runs)
    shown = values[:1] if alike else values
    rows = [[Cell(name.replace("_", " ")), *(_plain(one.get(name)) for one in shown)] for name in names]
    return table(caption, head, rows)


def _plain(value: object) -> Cell:
    if value is None:
        return NOTHING
    return Cell(f"{value:,}" if isinstance(value, int) else str(value))


def _head(corner: str, runs: Sequence[Outcome]) -> list[Cell]:
    names = zip(labels(runs), runs, strict=True)
    return [Cell(corner), *(Cell(name, "ours" if run.strategy == OURS else "") for name, run in names)]
