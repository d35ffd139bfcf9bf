"""Frames: parsed into typed tuples, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from lab.azure.service_bus import performatives as amqp
from lab.azure.service_bus.amqp_types import Described, UInt, ULong, UShort
from lab.azure.service_bus.codec import CodecError, decode
from lab.azure.service_bus.performatives import Begin, Flow, parse


def frame(code: int, *fields: Any) -> Described:
    return Described(ULong(code), list(fields))


def test_a_frame_becomes_a_tuple_with_its_missing_fields_as_none() -> None:
    parsed = parse(frame(amqp.FLOW, None, UInt(1), UInt(2), UInt(3), UInt(4)))
    assert parsed == Flow(None, UInt(1), UInt(2), UInt(3), UInt(4))
    assert isinstance(parsed, Flow)
    assert parsed.drain is None


def test_fields_nothing_uses_are_dropped() -> None:
    window = [UInt(1)] * 3
    assert parse(frame(amqp.BEGIN, UShort(1), *window, None, "more", "more")) == Begin(UShort(1), *window)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "text",
        Described(ULong(amqp.OPEN), {}),
        Described("amqp:open:list", ["c"]),
        frame(0x99),
        frame(amqp.OPEN),
        frame(amqp.OPEN, None),
        frame(amqp.OPEN, 5),
        frame(amqp.BEGIN, UShort(1)),
        frame(amqp.ATTACH, "name", ULong(1), False),
        frame(amqp.ATTACH, "name", UInt(1), None),
        frame(amqp.TRANSFER, UInt(1), 5),
        frame(amqp.DISPOSITION, True, UInt(0), None, None, []),
        frame(amqp.ATTACH, "name", UInt(1), False, UInt(0)),
        frame(amqp.SASL_INIT, "ANONYMOUS"),
    ],
)
def test_a_frame_with_a_wrong_field_is_refused(broken: Any) -> None:
    with pytest.raises(CodecError):
        parse(broken)


def test_a_packed_frame_is_parsed_again() -> None:
    raw = amqp.pack(amqp.DETACH, UInt(1), True, amqp.error("amqp:not-found", "no"))
    parsed = parse(decode(raw)[0])
    assert parsed == amqp.Detach(UInt(1), True, amqp.error("amqp:not-found", "no"))


@pytest.mark.parametrize(("code", "fields"), [(amqp.OPEN, 10), (amqp.BEGIN, 8), (amqp.ATTACH, 14), (amqp.FLOW, 11)])
def test_a_packed_frame_has_every_field_of_the_standard(code: int, fields: int) -> None:
    """azure-servicebus before 7.15 reads them by position and fails on a shorter list."""
    assert len(decode(amqp.pack(code, "x"))[0].value) == fields


def test_an_error_always_has_an_info_map() -> None:
    assert isinstance(amqp.error("a", "b").value[2], dict)
