"""What a command's name decides."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import DataError

from services.redis_session.command_plan import Need, command_plan


def need(*args: Any) -> Need | None:
    """What the command needs, whatever way its name is written."""
    plan = command_plan(args[0])
    return None if plan.need is None else plan.need(plan.split(args))


@pytest.mark.parametrize("name", ["BLPOP", b"BLPOP", "blpop", " blpop ", "BLPOP k 0", "\tBlPop", "WAIT", "HIMPORT SET"])
def test_what_blocks_is_recognised_in_every_spelling(name: str | bytes) -> None:
    assert need(name, "k", 0) is Need.BLOCKS


@pytest.mark.parametrize(
    "words",
    [
        ("SELECT", 1),
        ("client reply", "off"),
        ("CLIENT", "Reply", "OFF"),
        (b"CLIENT", b"TRACKING", "on"),
        ("SCRIPT DEBUG", "YES"),
        ("MULTI",),
    ],
)
def test_what_changes_the_connection_is_recognised(words: tuple[Any, ...]) -> None:
    assert need(*words) is Need.CHANGES_STATE


@pytest.mark.parametrize(
    "words",
    [
        ("GET", "BLPOP"),
        ("CLIENT", "ID"),
        ("CLIENT",),
        ("SCRIPT LOAD", "x"),
        ("CONFIG GET", "select"),
        ("LPOP", "k"),
        ("PUBLISH", "c", "m"),
    ],
)
def test_the_rest_shares(words: tuple[Any, ...]) -> None:
    assert need(*words) is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("XREAD", "STREAMS", "BLOCK", "0"), None),
        (("XREAD", b"block", 0, "STREAMS", "x", "0"), Need.BLOCKS),
        (("XREAD", bytearray(b"block"), 0, "STREAMS", "x", "0"), Need.BLOCKS),
        (("XREAD", memoryview(b"Block"), 0, "STREAMS", "x", "0"), Need.BLOCKS),
        (("XREAD", "COUNT", 2, "Block", 0, "STREAMS", "x", "0"), Need.BLOCKS),
        (("XREADGROUP", "GROUP", "BLOCK", "BLOCK", "STREAMS", "x", ">"), None),
        (("XREADGROUP", "GROUP", "g", "c", "NOACK", "BLOCK", 5, "STREAMS", "x", ">"), Need.BLOCKS),
    ],
)
def test_reading_a_stream_blocks_only_with_the_option(words: tuple[Any, ...], expected: Need | None) -> None:
    assert need(*words) is expected


@pytest.mark.parametrize("name", ["", " ", b"", 5, None, 1.5])
def test_a_name_that_sends_nothing_is_refused(name: Any) -> None:
    """Redis never replies to a command without words: every caller behind it would get another's reply."""
    with pytest.raises(DataError):
        command_plan(name)


def test_a_name_of_several_words_is_sent_as_several() -> None:
    assert command_plan("config get").split(("config get", "x")) == (b"config", b"get", "x")
    assert command_plan("config get").key == "CONFIG GET"
    assert command_plan("GET").split(("GET", "x")) == ("GET", "x")
