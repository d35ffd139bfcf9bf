"""Calls of the SDK end when they are told to, even if they swallow a cancellation as its `asyncio.wait_for` can."""

from __future__ import annotations

import asyncio

import pytest

from services.queue_session.connection import end, within


async def stubborn(swallows: int) -> None:
    """Ends at the cancellation after so many."""
    for _ in range(swallows):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)


async def test_a_call_past_its_time_is_ended_however_often_it_swallows_the_cancellation() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await within(0.01, stubborn(3))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_call_in_time_returns_its_result_or_raises_its_own_error() -> None:
    async def broken() -> None:
        raise ConnectionError("mine")

    assert await within(5, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ConnectionError, match="mine"):
        await within(5, broken())


async def test_a_caller_that_is_cancelled_takes_its_call_with_it() -> None:
    call = asyncio.create_task(within(60, stubborn(3)))
    await asyncio.sleep(0.01)
    await end(call)
    assert call.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
