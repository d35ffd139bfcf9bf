"""Waiting for what offers no event."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], deadline_s: float = 10) -> None:
    """Wait for something that offers no event."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - it happens in another process or thread
            await asyncio.sleep(0.01)
