"""The colours."""

from __future__ import annotations

import pytest

from lab.proof.report.palette import BLUE, DARK, GRID, looks
from lab.proof.strategies import OURS, STRATEGIES

WHITE, NIGHT = "#ffffff", "#151b23"
SEEN = [pair for pair in DARK.items() if pair[0] != GRID]


def luminance(colour: str) -> float:
    """Relative, as WCAG 2.2 defines it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("day", "dark"), SEEN)
def test_every_line_stands_out_by_day_and_in_the_dark(day: str, dark: str) -> None:
    assert contrast(day, WHITE) >= 3
    assert contrast(dark, NIGHT) >= 3


def test_no_two_strategies_look_alike() -> None:
    seen = looks(list(STRATEGIES))
    assert len({look.colour for look in seen}) == len({look.marker for look in seen}) == len(STRATEGIES)


def test_only_ours_is_blue_bold_and_thick() -> None:
    theirs, our = looks(["never-closed", OURS])
    assert (our.colour, our.weight, our.ours) == (BLUE, "bold", True)
    assert our.width > theirs.width
    assert (theirs.colour == BLUE, theirs.weight, theirs.ours) == (False, "normal", False)
