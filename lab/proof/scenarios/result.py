"""What the rounds of a comparison come to: medians, their spread, and where a rival was better than ours."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from lab.proof.scenarios.cell import Cell
from lab.proof.strategies import OURS

NUMBERS = tuple(field.name for field in fields(Cell) if field.type in ("int", "float"))
LEVEL_SHARE = 0.005  # of the calls: as many more may fail and it is level
LEVEL_RATIO, LEVEL_MS = 1.25, 5.0  # a p99 that is within these is level: rounds differ by as much


@dataclass(frozen=True)
class Result:
    """A side in a scenario: the median of every number over the rounds, and the least and the most of `p99_ms`."""

    scenario: str
    side: str
    median: dict[str, float]
    p99_spread: tuple[float, float]

    @property
    def failed_share(self) -> float:
        """Of all calls."""
        return self.median["failed"] / max(1.0, self.median["calls"])

    def beats(self, other: Result) -> list[str]:
        """In what it is clearly better than the other, of `failed` and `p99`, and not clearly worse in the rest.

        Who did more changes twice, or gave more wrong answers, is not better in anything.
        """
        if any(self.median[name] > other.median[name] for name in ("twice", "wrong")):
            return []
        fewer = self.failed_share < other.failed_share - LEVEL_SHARE
        more = self.failed_share > other.failed_share + LEVEL_SHARE
        mine, its = self.median["p99_ms"], other.median["p99_ms"]
        faster = mine * LEVEL_RATIO < its and mine + LEVEL_MS < its
        slower = its * LEVEL_RATIO < mine and its + LEVEL_MS < mine
        return ["failed"] * (fewer and not slower) + ["p99"] * (faster and not more)


def results(cells: Iterable[Cell]) -> list[Result]:
    """One for each side in each scenario, in the order in which they first ran."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.scenario, cell.side), []).append(cell)
    return [_of(scenario, side, rounds) for (scenario, side), rounds in groups.items()]


def _of(scenario: str, side: str, rounds: Sequence[Cell]) -> Result:
    median = {name: round(float(statistics.median(getattr(cell, name) for cell in rounds)), 2) for name in NUMBERS}
    p99 = [cell.p99_ms for cell in rounds]
    return Result(scenario, side, median, (min(p99), max(p99)))


def better_rivals(found: Sequence[Result], scenario: str) -> dict[str, list[str]]:
    """The sides that beat ours in a scenario, and in what; empty if ours is best or level."""
    ours = next(one for one in found if (one.scenario, one.side) == (scenario, OURS))
    rivals = (one for one in found if one.scenario == scenario and one.side != OURS)
    return {rival.side: won for rival in rivals if (won := rival.beats(ours))}


def best_rival(found: Sequence[Result], scenario: str) -> Result | None:
    """The rival with the fewest failures, and of those the one with the least p99."""
    rivals = [one for one in found if one.scenario == scenario and one.side != OURS]
    if not rivals:
        return None
    fewest = min(one.failed_share for one in rivals)
    least = [one for one in rivals if one.failed_share <= fewest + LEVEL_SHARE]
    return min(least, key=lambda one: one.median["p99_ms"])
