"""The comparison as one table of ten rows, as a page with every side in every scenario, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lab.proof import wide_table
from lab.proof.report.markdown import plain, section, table
from lab.proof.report.page import write_page
from lab.proof.scenarios.result import Result, best_rival, better_rivals
from lab.proof.scenarios.scenario import DEADLINE_S, SCENARIOS
from lab.proof.strategies import OURS, SIDES, TITLES

HEADINGS = (
    *("scenario", "ours: failed", "p99 ms", "clients"),
    *("best rival", "its failed", "its p99 ms", "its clients", "better than ours"),
)
COLUMNS = {
    "calls": "calls", "failed": "failed", "undecided": "undecided", "twice": "twice", "refused": "refused connects",
    "opened": "opened", "peak": "peak clients", "p50_ms": "p50 ms", "p99_ms": "p99 ms", "max_ms": "max ms",
    "starved_ms": "starved ms", "cpu_us": "CPU us per call", "per_s": "calls/s",
}  # fmt: skip
TEXT = f"""\
A *side* is a way to connect to Redis. Each has {DEADLINE_S:g} s per operation and repeats what its documentation \
says. The figures are medians of interleaved rounds. *Best rival*: the side with the fewest failures, and of those \
with the lowest p99. *Better than ours*: every side with clearly fewer failures (half a percent of the calls) or a \
clearly lower p99 (a quarter, and 5 ms), not clearly worse in the other, and without more changes done twice."""


def rows(found: Sequence[Result]) -> list[list[str]]:
    return [_row(found, name) for name in dict.fromkeys(one.scenario for one in found)]


def _row(found: Sequence[Result], name: str) -> list[str]:
    ours = next((one for one in found if (one.scenario, one.side) == (name, OURS)), None)
    rival = best_rival(found, name)
    better = better_rivals(found, name) if ours else {}
    shown = ", ".join(f"{side} ({' and '.join(won)})" for side, won in better.items()) or "none"
    return [SCENARIOS[name].title, *_told(ours), rival.side if rival else "-", *_told(rival), shown if ours else "-"]


def _told(one: Result | None) -> tuple[str, str, str]:
    if one is None:
        return "-", "-", "-"
    share = f" ({one.failed_share:.1%})" if one.median["failed"] else ""
    return f"{one.median['failed']:,.0f}{share}", f"{one.median['p99_ms']:,.0f}", f"{one.median['peak']:,.0f}"


def show(found: Sequence[Result], console: Console) -> None:
    wide_table.show(HEADINGS, rows(found), console)


def as_json(found: Sequence[Result], rounds: int, seconds: float) -> dict[str, Any]:
    return {
        "rounds": rounds,
        "seconds": round(seconds, 1),
        "results": [
            {"scenario": one.scenario, "side": one.side, **one.median, "p99_spread": one.p99_spread} for one in found
        ],
    }


def from_json(document: dict[str, Any]) -> list[Result]:
    kept = ("scenario", "side", "p99_spread")
    return [
        Result(
            one["scenario"],
            one["side"],
            {name: value for name, value in one.items() if name not in kept},
            (one["p99_spread"][0], one["p99_spread"][1]),
        )
        for one in document["results"]
    ]


def write_report(folder: Path, found: Sequence[Result], rounds: int, seconds: float, command: str) -> Path:
    """The page, its numbers and the picture; returns the page. Raises OSError."""
    from lab.proof.scenarios.picture import draw  # matplotlib takes a second to import

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenarios.svg").write_text(draw(found), encoding="utf-8")
    parts = [
        f"{TEXT} {rounds} rounds.",
        table(HEADINGS, rows(found)),
        "![The share of failed calls, the p99 and the clients of every side in every scenario](scenarios.svg)",
        *(_details(found, name) for name in dict.fromkeys(one.scenario for one in found)),
    ]
    return write_page(folder, "The sessions in ten scenarios", parts, as_json(found, rounds, seconds), command)


def _details(found: Sequence[Result], name: str) -> str:
    lines = [
        [plain(TITLES[one.side]), *(f"{one.median[column]:,.0f}" for column in COLUMNS)]
        for one in sorted(found, key=lambda one: list(SIDES).index(one.side))
        if one.scenario == name
    ]
    return section(SCENARIOS[name].title.capitalize(), table(["side", *COLUMNS.values()], lines))
