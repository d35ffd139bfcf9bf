"""What is drawn of a timeline: fewer points, rates from totals, gaps without an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan
from operator import attrgetter

from lab.proof.outcome import Moment

POINTS = 120  # a panel is a few hundred px wide, and an SVG of six strategies stays small


def thinned(timeline: Sequence[Moment], most: int = POINTS) -> list[Moment]:
    """At most twice `most` moments, their totals exact. Peaks of clients and queue survive, and dips of instances.

    A stretch in which Redis did not always answer becomes two moments, one of them without clients.
    """
    size = max(1, -(-len(timeline) // most))
    stretches = (timeline[start : start + size] for start in range(0, len(timeline), size))
    return [moment for stretch in stretches for moment in _essence(stretch)]


def _essence(stretch: Sequence[Moment]) -> list[Moment]:
    """Its last moment that knows the clients and its last that does not, as far as there are such."""
    fewest, longest = min(moment.instances for moment in stretch), max(moment.queue for moment in stretch)
    peak = max((moment.clients for moment in stretch if moment.clients is not None), default=None)
    lasts = {moment.clients is None: replace(moment, instances=fewest, queue=longest) for moment in stretch}
    kept = [replace(last, clients=None if silent else peak) for silent, last in lasts.items()]
    return sorted(kept, key=attrgetter("t"))


def edges(timeline: Sequence[Moment]) -> list[float]:
    """Where the stretches before each moment begin and end, in seconds: one more than moments."""
    times = [moment.t for moment in timeline]
    return [min([0.0, *times]), *times]


def clients(timeline: Sequence[Moment]) -> list[float]:
    """Clients per moment; not a number, which a line leaves out, where Redis did not answer."""
    return [nan if moment.clients is None else float(moment.clients) for moment in timeline]


def rates(timeline: Sequence[Moment], total: Callable[[Moment], int]) -> tuple[list[float], list[float]]:
    """[edges in seconds], [per second between each two edges] of a total that grows; one edge more than rates.

    Everything is 0 at t = 0, so the first sample is a rate too. Samples at the same t count as one, the last.
    """
    times, totals = [0.0], [0]
    for moment in timeline:
        if moment.t > times[-1]:
            times.append(moment.t)
            totals.append(total(moment))
        elif moment.t == times[-1]:
            totals[-1] = total(moment)
    steps = range(len(times) - 1)
    return times, [(totals[step + 1] - totals[step]) / (times[step + 1] - times[step]) for step in steps]
