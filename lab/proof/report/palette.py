"""The charts' colours, by day and in the dark, and how a run is drawn. Colour alone carries no meaning.

The hues are Okabe and Ito's for colour-blind readers (https://jfly.uni-koeln.de/color/); some are darkened, because a
line on white wants a contrast of 3:1 (WCAG 2.2, 1.4.11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Look:
    """How one run is drawn. `width`: of its lines, in px. `weight`: of its name, as matplotlib calls it."""

    label: str
    colour: str
    marker: str
    width: float
    weight: str
    ours: bool


def looks(sides: Sequence[str]) -> list[Look]:
    """A look for each side: ours blue, bold and on a thicker line, another with its own colour and marker."""
    others = iter(zip(OTHERS * len(sides), MARKERS * len(sides), strict=True))
    return [
        Look(TITLES[side], BLUE, "o", 2.6, "bold", ours=True)
        if side == OURS
        else Look(TITLES[side], *next(others), 1.5, "normal", ours=False)
        for side in sides
    ]
