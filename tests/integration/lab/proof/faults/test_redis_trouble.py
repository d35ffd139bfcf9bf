"""Redis is there and of no use: nothing accepted is lost, nothing decided twice, only 503s are seen."""

from __future__ import annotations

import pytest

from tests.integration.lab.proof.faults.enduring import broken_under


@pytest.mark.parametrize(
    "names", [("pause", "read-only"), ("black-hole", "full-server"), ("client-kill", "script-flush")], ids=" ".join
)
async def test_every_promise_holds_under(names: tuple[str, ...]) -> None:
    assert await broken_under(*names) == {}
