"""What a person sees of the lab's processes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lab.azure.invocation_log import SHOWN_PER_SECOND, InvocationLog, render

EXECUTED = "16:24:01.123 INFO [host] Executed 'Functions.place_order' (Succeeded, Id=1-2, Duration=12ms)"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (EXECUTED, "16:24:01.123 ok   place_order  12 ms  1-2"),
        (EXECUTED.replace("Succeeded", "Failed"), "16:24:01.123 FAIL place_order  12 ms  1-2"),
        ("16:24:01.123 INFO [host] Executing 'Functions.place_order' (Reason='x', Id=1-2)", None),
        ("16:24:01.123 ERROR [services] no [red] Redis", "16:24:01.123 ERROR [services] no [red] Redis"),
        ("Traceback (most recent call last):", "app | Traceback (most recent call last):"),
    ],
)
def test_a_line_is_shown_short_on_a_terminal(line: str, shown: str | None) -> None:
    text = render("app", line)
    assert (None if text is None else text.plain) == shown


def test_many_successes_are_counted_instead_of_shown_and_failures_always_shown() -> None:
    screen = io.StringIO()
    log = InvocationLog(Console(file=screen, force_terminal=True, color_system=None, width=200))
    for _ in range(SHOWN_PER_SECOND * 40):
        log.show("app", EXECUTED)
    log.show("app", EXECUTED.replace("Succeeded", "Failed"))
    assert screen.getvalue().count("ok ") < SHOWN_PER_SECOND * 30
    assert screen.getvalue().count("FAIL") == 1


def test_elsewhere_every_line_is_passed_on_as_it_is() -> None:
    screen = io.StringIO()
    InvocationLog(Console(file=screen)).show("app", EXECUTED)
    assert screen.getvalue() == f"app | {EXECUTED}\n"
