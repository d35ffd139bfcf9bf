"""Scale-out and scale-in over time: instances are added while load rises and drained while it falls.

Flex Consumption adds instances in steps and takes them away one by one; here both groups follow one number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from lab.proof.fleet.fleet import Fleet, State
from lab.proof.fleet.instance import Group

EVERY_S = 0.5
STEP = 8  # instances that one group starts or drains at a time: a crowd that starts takes the cores from who serves


async def adjust(fleet: Fleet, wanted: Mapping[Group, int], step: int | None = None) -> None:
    """Bring each group to its wanted size, by at most `step` instances; all of them if left out."""
    for group, size in wanted.items():
        serving = fleet.of(group, State.SERVING, State.STARTING)
        missing = size - len(serving)
        if missing > 0:
            await fleet.grow(group, missing if step is None else min(missing, step))
        elif missing < 0:
            leaving = -missing if step is None else min(-missing, step)
            await fleet.drain(serving[-leaving:])


async def follow(fleet: Fleet, wanted: Callable[[], Mapping[Group, int]]) -> None:
    """Adjust for ever; cancel it to stop."""
    while True:
        await adjust(fleet, wanted(), STEP)
        await asyncio.sleep(EVERY_S)
