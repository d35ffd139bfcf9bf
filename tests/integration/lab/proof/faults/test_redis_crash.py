"""Redis itself goes, with its data or without: nothing accepted is lost, nothing decided twice, only 503s are seen."""

from __future__ import annotations

import pytest

from tests.integration.lab.proof.faults.enduring import broken_under


@pytest.mark.timeout(180)
async def test_every_promise_holds_when_redis_is_killed_and_when_it_comes_back_empty() -> None:
    assert await broken_under("kill", "empty") == {}
