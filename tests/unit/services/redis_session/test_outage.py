"""What is remembered of an outage, for how long, and how much of it is still to be said."""

from __future__ import annotations

import logging

import pytest

from services.redis_session.outage import REPEAT_S, SILENT, Outage

LOG = logging.getLogger("outage")


def said(outage: Outage, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    caplog.set_level(logging.INFO)
    outage.say(LOG)
    return [record.getMessage() for record in caplog.records]


def test_a_refusal_is_remembered_until_a_call_succeeds_and_no_longer_than_a_minute() -> None:
    outage = Outage(2)
    outage.failed(100, "no rights", "NOPERM", refused=True)
    outage.answered(110)  # a PING does not meet it
    assert outage.refusal(100 + REPEAT_S - 1) == "no rights"
    assert outage.refusal(100 + REPEAT_S) is None
    outage.failed(200, "no rights", "NOPERM", refused=True)
    outage.good(201)
    assert outage.refusal(201) is None


def test_a_reason_that_lasts_is_said_once_a_minute_and_another_one_at_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(2)
    for second in range(150):
        outage.failed(second, SILENT, "again")
    outage.failed(150, "the password is refused", "WRONGPASS")
    lines = said(outage, caplog)
    assert lines == [f"Redis cannot be used: {SILENT} (again)"] * 3 + [
        "Redis cannot be used: the password is refused (WRONGPASS)"
    ]
    outage.good(160)
    assert said(outage, caplog) == ["Redis can be used again, after 160.0 s"]


def test_what_nobody_says_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(2)
    for number in range(1000):
        outage.failed(number, f"reason {number}", "")
    assert len(said(outage, caplog)) == 8
    assert said(outage, caplog) == []


def test_an_outage_is_known_after_its_time_without_a_good_answer() -> None:
    outage = Outage(2)
    assert outage.left_s(100) is None
    outage.trying(100)
    outage.trying(101)
    assert outage.left_s(101.5) == 0.5
    outage.answered(102)
    assert outage.left_s(105) is None
