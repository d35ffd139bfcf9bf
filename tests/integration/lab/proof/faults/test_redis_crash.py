"""Redis itself goes, with its data or without: nothing accepted is lost, nothing decided twice, only 503s are seen."""

from __future__ import annotations

from tests.integration.lab.proof.faults.enduring import broken_under


async def test_every_promise_holds_under() -> None:
    assert await broken_under("kill", "empty") == {}
