"""The line that says how a run goes: rewritten on a terminal, seldom and whole elsewhere."""

from __future__ import annotations

import io

import pytest

from lab.proof.spike.progress import CLEAR, Progress


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_line_takes_the_place_of_the_last_one() -> None:
    stream = Terminal()
    progress = Progress("2/6 ", stream)
    progress.say("one")
    progress.say("two")
    assert stream.getvalue() == f"{CLEAR}2/6 one ...{CLEAR}2/6 two ..."


def test_on_a_terminal_the_line_is_clean_afterwards() -> None:
    stream = Terminal()
    Progress(stream=stream).done()
    assert stream.getvalue() == CLEAR


def test_elsewhere_each_is_a_line_of_its_own_without_control_characters() -> None:
    stream = io.StringIO()
    progress = Progress("2/6 ", stream)
    progress.say("one")
    progress.say("two")
    progress.done()
    assert stream.getvalue() == "2/6 one ...\n2/6 two ...\n"


def test_it_is_written_to_stderr_so_that_results_can_be_piped(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().say("one")
    assert capsys.readouterr() == ("", "one ...\n")
