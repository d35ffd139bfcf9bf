"""The charts' colours, by day and in the dark, and how a run is drawn. Colour alone carries no meaning.

The hues are Okabe and Ito's for colour-blind readers (https://jfly.uni-koeln.de/color/); some are darkened, because a
line on white wants a contrast of 3:1 (WCAG 2.2, 1.4.11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.proof.strategies import OURS, TITLES

INK, QUIET, GRID = "#1f2328", "#59636e", "#d1d9e0"
BLUE, GREEN, VERMILION = "#0072b2", "#009e73", "#d55e00"
_OTHERS = {  # by day: in the dark
    "#b97700": "#e8ae3c",
    "#aa4499": "#dd85cf",
    "#4b8b9b": "#7cc4d6",
    "#6f6f3c": "#c3c382",
    "#7a5c9e": "#b79be0",
    "#c0466a": "#f08aa8",
    "#8c5a2b": "#cf9a66",
    "#5b6b8c": "#9db0d6",
    "#4f7f3f": "#8fc47c",
}
OTHERS = tuple(_OTHERS)
DARK = {
    INK: "#e6edf3",
    QUIET: "#9da7b3",
    GRID: "#30363d",
    BLUE: "#5cb3f0",
    GREEN: "#34c99b",
    VERMILION: "#ff8f4a",
    **_OTHERS,
}
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
