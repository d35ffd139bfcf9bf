"""Redis itself goes, with its data or without: nothing accepted is lost, nothing decided twice, only 503s are seen."""

from __future__ import annotations

import pytest

from tests.integration.lab.proof.faults.enduring import outcome_of


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["kill", "empty"])
async def test_every_promise_holds_under(name: str) -> None:
    assert (await outcome_of(name)).broken == []
