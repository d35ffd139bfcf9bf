"""Service Bus misbehaves: nothing accepted is lost, nothing decided twice, only 503s are seen."""

from __future__ import annotations

import pytest

from tests.integration.lab.proof.faults.enduring import broken_under


@pytest.mark.timeout(180)
async def test_every_promise_holds_when_service_bus_drops_links_is_busy_and_delivers_twice() -> None:
    assert await broken_under("link-detach", "server-busy", "duplicates") == {}
