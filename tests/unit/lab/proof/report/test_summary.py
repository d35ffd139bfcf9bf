"""The outcome in plain words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.proof.report.summary import summary, summary_of_faults
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, nothing, ours


def test_it_tells_the_scene_then_ours_then_the_others() -> None:
    assert summary([leaky(), ours()]) == (
        "- 12,000 orders came in within 60 seconds, to 200 instances in front of a Redis that allows 250 clients.\n"
        "- With “one multiplexed connection per process”, 12,000 were accepted and no request failed; every accepted "
        "order was decided once, none was lost and nothing oversold; Redis had at most 204 clients and refused no "
        "connection.\n- With “(1) client per call, never closed”, 8,000 failed (66.7%), 2 lost, Redis refused 31,200 "
        "connections."
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("lost", "of the orders accepted, 7 lost"),
        ("decided_twice", "7 decided twice"),
        ("oversold", "7 sold beyond the stock"),
        ("dead_lettered", "7 dead-lettered"),
        ("undecided", "7 undecided at the end"),
        ("failed", "7 failed (0.1%)"),
        ("refused_connections", "refused 7 connections"),
    ],
)
def test_it_never_says_that_all_is_well_when_it_is_not(number: str, words: str) -> None:
    changed: dict[str, Any] = {number: 7}
    assert words in summary([replace(ours(), **changed)])


def test_counts_that_do_not_add_up_are_not_called_right() -> None:
    assert "every accepted order" not in summary([replace(ours(), undecided=1)])


def test_a_run_in_which_nothing_was_accepted_decided_nothing() -> None:
    assert "0 were accepted and no request failed; so there was nothing to decide" in summary([nothing()])


def test_faults_that_broke_a_promise_are_named() -> None:
    expected = "Of 2 faults, 1 broke a promise: Service Bus drops every link."
    assert summary_of_faults(FAULTS["faults"]) == expected


def test_faults_that_broke_nothing_are_shown_too() -> None:
    assert summary_of_faults(FAULTS["faults"][:1] * 3) == "Under each of 3 faults every promise held."
