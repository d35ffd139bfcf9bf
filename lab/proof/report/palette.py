"""The charts' colours, by day and in the dark, and how a run is called. Colour alone carries no meaning.

The hues are Okabe and Ito's for colour-blind readers (https://jfly.uni-koeln.de/color/); some are darkened, because a
line on white wants a contrast of 3:1 (WCAG 2.2, 1.4.11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.proof.outcome import Outcome
from lab.proof.strategies import OURS, TITLES

INK = "#1f2328"
QUIET = "#59636e"
GRID = "#d1d9e0"
BLUE = "#0072b2"
GREEN = "#009e73"
VERMILION = "#d55e00"
OCHRE = "#b97700"
PURPLE = "#aa4499"
TEAL = "#4b8b9b"
OLIVE = "#6f6f3c"
VIOLET = "#7a5c9e"
ROSE = "#c0466a"
BROWN = "#8c5a2b"
SLATE = "#5b6b8c"
MOSS = "#4f7f3f"
DARK = {
    INK: "#e6edf3",
    QUIET: "#9da7b3",
    GRID: "#30363d",
    BLUE: "#5cb3f0",
    GREEN: "#34c99b",
    VERMILION: "#ff8f4a",
    OCHRE: "#e8ae3c",
    PURPLE: "#dd85cf",
    TEAL: "#7cc4d6",
    OLIVE: "#c3c382",
    VIOLET: "#b79be0",
    ROSE: "#f08aa8",
    BROWN: "#cf9a66",
    SLATE: "#9db0d6",
    MOSS: "#8fc47c",
}
OTHERS = (OCHRE, PURPLE, TEAL, OLIVE, VIOLET, ROSE, BROWN, SLATE, MOSS)
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p")
LONGEST_LABEL = 64


@dataclass(frozen=True)
class Look:
    """How one run is drawn. `width`: of its lines, in px. `weight`: of its name, as matplotlib calls it."""

    label: str
    colour: str
    marker: str
    width: float
    weight: str
    ours: bool


def labels(runs: Sequence[Outcome]) -> list[str]:
    """A name per run, no two alike: the strategy's title, with the instances or a number where that is not enough."""
    names = [_printable(TITLES.get(run.strategy, run.strategy)) for run in runs]
    names = [
        f"{name}, {run.instances} instances" if names.count(name) > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]
    turns = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [name if turn == 1 else f"{name} ({turn})" for name, turn in zip(names, turns, strict=True)]


def looks(runs: Sequence[Outcome]) -> list[Look]:
    """A look for each run."""
    return _looks([run.strategy for run in runs], labels(runs))


def side_looks(sides: Sequence[str]) -> list[Look]:
    """A look for each side."""
    return _looks(sides, [TITLES[side] for side in sides])


def _looks(strategies: Sequence[str], names: Sequence[str]) -> list[Look]:
    """Ours is blue, bold and on a thicker line; another has its own colour and marker, until they repeat."""
    found: list[Look] = []
    others = 0
    for strategy, label in zip(strategies, names, strict=True):
        if strategy == OURS:
            found.append(Look(label, BLUE, "o", 2.6, "bold", ours=True))
        else:
            turn = others % len(OTHERS)
            found.append(Look(label, OTHERS[turn], MARKERS[turn], 1.5, "normal", ours=False))
            others += 1
    return found


def _printable(name: str) -> str:
    """XML cannot hold control characters, and a chart no endless name."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return clean if len(clean) <= LONGEST_LABEL else clean[: LONGEST_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"
