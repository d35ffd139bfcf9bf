"""The numbers of the runs and of the faults as tables. No count is rounded, and none left out because it is 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lab.proof.outcome import Outcome
from lab.proof.report.markdown import count, fault, plain, table, unbroken
from lab.proof.strategies import OURS, TITLES

MORE_CONFIRMED = (
    "More orders may be confirmed than accepted: an order whose answer was 503, or was lost, may have been recorded "
    "and queued, and is then decided like the others."
)
NOTHING = "\N{EN DASH}"
NUMBERS: tuple[tuple[str, Callable[[Outcome], str]], ...] = (
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
    ("seconds", lambda run: f"{run.seconds:,.1f}"),
    ("orders per second", lambda run: f"{run.orders_per_second:,.1f}"),
    ("peak clients / limit", lambda run: f"{run.peak_clients:,} / {run.client_limit:,}"),
    ("refused connections", lambda run: fault(run.refused_connections)),
    ("answer, p50", lambda run: milliseconds(run.p50_ms)),
    ("answer, p99", lambda run: milliseconds(run.p99_ms)),
)
_FAULT_NUMBERS = ("accepted", "lost", "decided_twice", "oversold", "dead_lettered", "leaked")
FAULT_HEADINGS = (
    *("fault", *(name.replace("_", " ") for name in _FAULT_NUMBERS)),
    *("replayed", "client errors", "longest answer", "recovery (bound)"),
)


def milliseconds(ms: float) -> str:
    """A time in ms: to the tenth where that is more than noise."""
    return f"{ms:,.1f} ms" if ms < 100 else f"{ms:,.0f} ms"


def numbers(runs: Sequence[Outcome]) -> str:
    return table(_head("", runs), [[name, *map(cell, runs)] for name, cell in NUMBERS])


def more_confirmed(runs: Sequence[Outcome]) -> str:
    """Why some runs confirmed more orders than they accepted; empty if none did."""
    return MORE_CONFIRMED if any(run.confirmed > run.accepted for run in runs) else ""


def failures(runs: Sequence[Outcome]) -> str:
    """Failed requests by status or kind, the most frequent first."""
    kinds = {kind for run in runs for kind in run.failures}
    ordered = sorted(kinds, key=lambda kind: (-sum(run.failures.get(kind, 0) for run in runs), kind))
    if not ordered:
        return "No request failed."
    rows = [[plain(kind), *(fault(run.failures.get(kind, 0)) for run in runs)] for kind in ordered]
    return table(_head("failed, by status or kind", runs), rows)


def cpu(runs: Sequence[Outcome]) -> str:
    """CPU seconds per role, and what that is per order."""
    roles = dict.fromkeys(role for run in runs for role in run.cpu_s)
    rows = [[plain(role), *(_share(run.cpu_s.get(role), run.orders) for run in runs)] for role in roles]
    sums = [["together", *(_share(sum(run.cpu_s.values()), run.orders) for run in runs)]]
    return table(_head("CPU seconds, and ms per order", runs), rows + sums) if rows else ""


def parameters(runs: Sequence[Outcome]) -> str:
    return _by_name(runs, [asdict(run.parameters) if run.parameters else {} for run in runs])


def machines(runs: Sequence[Outcome]) -> str:
    return _by_name(runs, [run.machine for run in runs])


def faults(found: Sequence[Mapping[str, Any]]) -> str:
    """A row per fault: the verdict, then what was counted."""
    title, *headings = FAULT_HEADINGS
    rows = []
    for one in found:
        title_of_one, *cells = fault_numbers(one)
        broken = "; ".join(plain(str(text)) for text in one["broken"])
        rows.append([title_of_one, f"**{broken}**" if broken else "ok", *cells])
    return table([title, "verdict", *headings], rows)


def fault_numbers(one: Mapping[str, Any]) -> list[str]:
    """What was counted under a fault, a cell for each of the FAULT_HEADINGS."""
    accepted, *others = (one[name] for name in _FAULT_NUMBERS)
    return [
        plain(str(one["title"])),
        count(accepted),
        *map(fault, others),
        count(one["replayed"]),
        plain(errors(one)) or "none",
        _seconds(one["longest_answer_s"]),
        f"{_seconds(one['recovery_s'])} ({_seconds(one['bound_s'])})",
    ]


def errors(one: Mapping[str, Any]) -> str:
    """What customers saw under a fault, in words."""
    return ", ".join(f"{status} ({number:,} times)" for status, number in one["client_errors"].items())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:,.1f} s"


def _share(seconds: float | None, orders: int) -> str:
    if seconds is None:
        return NOTHING
    return f"{seconds:,.1f} s" + (f" ({seconds * 1000 / orders:,.2f} ms)" if orders else "")


def _by_name(runs: Sequence[Outcome], values: Sequence[Mapping[str, object]]) -> str:
    """One column if all runs say the same."""
    names = dict.fromkeys(name for one in values for name in one)
    if not names:
        return ""
    alike = all(one == values[0] for one in values)
    head = ["", "all runs" if len(runs) > 1 else "this run"] if alike else _head("", runs)
    shown = values[:1] if alike else values
    rows = [[plain(name.replace("_", " ")), *(_plain(one.get(name)) for one in shown)] for name in names]
    return table(head, rows)


def _plain(value: object) -> str:
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else plain(str(value))


def _head(corner: str, runs: Sequence[Outcome]) -> list[str]:
    names = [unbroken(TITLES[run.strategy]) for run in runs]
    return [corner, *(f"**{name}**" if run.strategy == OURS else name for name, run in zip(names, runs, strict=True))]
