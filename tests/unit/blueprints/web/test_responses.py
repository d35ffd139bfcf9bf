"""Answers of 503 are logged, but not without limit."""

from __future__ import annotations

import pytest

from blueprints.web.responses import Warnings


def test_of_many_503_in_a_second_ten_are_logged_and_the_next_second_says_how_many_were_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warnings = Warnings()
    for at in [5.0] * 500 + [6.1] * 3 + [9.0]:
        warnings.say("get_drop", "Redis does not answer", {"drop_id": "d"}, now=at)
    line = "get_drop answers 503 (drop_id='d'): Redis does not answer"
    assert [record.getMessage() for record in caplog.records] == [
        *[line] * 10,
        "490 more answers of 503 were not logged",
        *[line] * 4,
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
