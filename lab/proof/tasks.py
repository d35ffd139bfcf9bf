"""Waits for asyncio tasks and conditions, and ends tasks for certain.

One cancellation can be swallowed, by a library or by a time-out just then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")
AGAIN_S = 0.5
LOOK_EVERY_S = 0.02


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks as often as it takes; what they raise is of no more interest."""
    left = list(tasks)
    while left := [task for task in left if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)


async def certain(work: asyncio.Future[T]) -> T:
    """Await what must not be left half-done: a cancellation meanwhile is raised when it is done."""
    interrupted: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
    return work.result()


async def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Look again and again, at what tells nobody when it changes; False if it did not come true in time."""
    clock = asyncio.get_running_loop().time
    ends = clock() + within_s
    while not condition():
        if clock() > ends:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


@asynccontextmanager
async def background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work beside the block, ended with it. What any of it raises ends the block and is raised here."""
    block = asyncio.current_task()
    failures: list[BaseException] = []

    def noticed(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failures.append(error)
            if block is not None:
                block.cancel()

    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(noticed)
    try:
        yield
    except asyncio.CancelledError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        for task in tasks:
            task.remove_done_callback(noticed)
        await end_all(tasks)
