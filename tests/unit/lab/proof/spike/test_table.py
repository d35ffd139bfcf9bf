"""Which promises an outcome breaks, and how the outcomes are shown."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from lab.proof.outcome import Moment, Outcome
from lab.proof.spike.table import broken, show

SOUND = Outcome(
    "ours",
    instances=8,
    stock=100,
    orders=100,
    accepted=100,
    confirmed=100,
    seconds=5.0,
    orders_per_second=20.0,
    peak_clients=10,
    client_limit=12,
    timeline=[Moment(0.0, 10, 0, 8, 0, 100, 100, 0, 0, 100)],
)


def shown(*outcomes: Outcome, width: int = 250) -> str:
    stream = io.StringIO()
    show(outcomes, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("counter", "text"),
    [
        ("failed", "3 answers were not the expected ones"),
        ("lost", "3 accepted orders are lost"),
        ("undecided", "3 accepted orders are still undecided"),
        ("decided_twice", "3 decided twice"),
        ("oversold", "3 sold beyond the stock"),
        ("dead_lettered", "3 messages were given up"),
        ("refused_connections", "Redis refused 3 connections"),
    ],
)
def test_a_promise_is_broken_by_name_and_number(counter: str, text: str) -> None:
    counted: dict[str, Any] = {counter: 3}
    (found,) = broken(replace(SOUND, **counted))
    assert text in found


@pytest.mark.parametrize(("peak", "promises"), [(12, []), (13, ["13 Redis clients, 12 allowed"])])
def test_one_client_per_instance_and_the_labs_own_four_are_allowed(peak: int, promises: list[str]) -> None:
    assert broken(replace(SOUND, peak_clients=peak)) == promises


def test_broken_promises_are_reported() -> None:
    assert "ours: 3 accepted orders are lost; 1 sold beyond the stock" in shown(replace(SOUND, lost=3, oversold=1))


def test_another_strategy_made_no_promise_but_its_failures_are_shown_by_status() -> None:
    text = shown(replace(SOUND, strategy="redis-py", failed=3, failures={"503": 3}))
    assert "redis-py: answers that failed, by status: {'503': 3}" in text
    assert "promise" not in text


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_a_terminal_of_any_width_shows_every_number_in_full(width: int) -> None:
    numbers: dict[str, Any] = {"orders": 35_480, "refused_connections": 33_206, "p50_ms": 4440.0, "p99_ms": 6045.0}
    strategies = ("ours", "redis-py", "per-call", "strategy3", "never-closed", "blocking-pool-2")
    text = shown(*(replace(SOUND, strategy=name, **numbers) for name in strategies), width=width)
    assert "…" not in text
    for number in ("35,480", "33,206", "4,440 ms", "6,045 ms"):
        assert text.count(number) == len(strategies)
    assert max(map(len, text.splitlines())) <= width
