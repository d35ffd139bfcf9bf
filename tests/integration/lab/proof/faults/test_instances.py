"""Instances come and go: nothing accepted is lost, nothing decided twice, only 503s are seen."""

from __future__ import annotations

import pytest

from tests.integration.lab.proof.faults.enduring import broken_under


@pytest.mark.parametrize(
    "names", [("instance-kill", "worker-crash-loop"), ("scale-in", "drain", "vanish")], ids=" ".join
)
async def test_every_promise_holds_under(names: tuple[str, ...]) -> None:
    assert await broken_under(*names) == {}
