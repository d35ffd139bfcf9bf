"""The outcome in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.proof.outcome import Outcome
from lab.proof.report.markdown import plain
from lab.proof.strategies import OURS, TITLES

_BROKEN_BOOKS = (
    ("lost", "lost"),
    ("decided_twice", "decided twice"),
    ("oversold", "sold beyond the stock"),
    ("dead_lettered", "dead-lettered"),
    ("undecided", "undecided at the end"),
)


def summary(runs: Sequence[Outcome]) -> str:
    """A list: the scene, then our run (or the first one), then the others."""
    first, *others = sorted(runs, key=lambda run: run.strategy != OURS)
    return "\n".join(f"- {sentence}" for sentence in [_scene(first), _at_length(first), *map(_in_short, others)])


def _scene(run: Outcome) -> str:
    seconds = run.parameters.seconds if run.parameters else run.seconds
    return (
        f"{run.orders:,} orders came in within {seconds:,.4g} seconds, to {run.instances:,} instances "
        f"in front of a Redis that allows {run.client_limit:,} clients."
    )


def _at_length(run: Outcome) -> str:
    return f"With {_quoted(run)}, {_answers(run)}; {_books(run)}; {_clients(run)}."


def _in_short(run: Outcome) -> str:
    refused = f"Redis refused {_connections(run)}"
    return f"With {_quoted(run)}, {', '.join([_failed(run), *_broken_books(run), refused])}."


def _quoted(run: Outcome) -> str:
    return f"\N{LEFT DOUBLE QUOTATION MARK}{TITLES[run.strategy]}\N{RIGHT DOUBLE QUOTATION MARK}"


def _answers(run: Outcome) -> str:
    return f"{run.accepted:,} were accepted and {_failed(run)}"


def _failed(run: Outcome) -> str:
    share = f" ({run.failed / run.orders:.1%})" if run.orders else ""
    return f"{run.failed:,} failed{share}" if run.failed else "no request failed"


def _books(run: Outcome) -> str:
    if wrong := _broken_books(run):
        return "of the orders accepted, " + ", ".join(wrong)
    return (
        "every accepted order was decided once, none was lost and nothing oversold"
        if run.accepted
        else "so there was nothing to decide"
    )


def _broken_books(run: Outcome) -> list[str]:
    return [f"{getattr(run, name):,} {words}" for name, words in _BROKEN_BOOKS if getattr(run, name)]


def _clients(run: Outcome) -> str:
    return f"Redis had at most {run.peak_clients:,} clients and refused {_connections(run)}"


def _connections(run: Outcome) -> str:
    return f"{run.refused_connections:,} connections" if run.refused_connections else "no connection"


def summary_of_faults(found: Sequence[Mapping[str, Any]]) -> str:
    """How many broke a promise, and which."""
    broken = [plain(str(one["title"])) for one in found if one["broken"]]
    if broken:
        return f"Of {len(found)} faults, {len(broken)} broke a promise: {', '.join(broken)}."
    return (
        f"Under each of {len(found)} faults every promise held."
        if len(found) > 1
        else "Under the fault every promise held."
    )
