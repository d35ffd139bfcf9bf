"""Waiting for what offers no event, in a test with an event loop and in one without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path


async def until(condition: Callable[[], bool], deadline_s: float = 120) -> None:
    """Wait until it is true. Raises TimeoutError."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - it happens in another process or thread
            await asyncio.sleep(0.01)


async def turns_of_the_loop(caller: asyncio.Task[None]) -> int:
    """How often the event loop turns until that task has ended."""
    loop, turns = asyncio.get_running_loop(), 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not caller.done():
            loop.call_soon(turn)

    loop.call_soon(turn)
    await caller
    return turns


def wait_until(condition: Callable[[], bool], deadline_s: float = 120) -> None:
    """The same without an event loop."""
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"did not happen within {deadline_s} s"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """True if no process has this id, or only one that waits to be reaped."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
