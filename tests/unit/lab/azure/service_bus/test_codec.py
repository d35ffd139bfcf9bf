"""The codec: what goes out comes back, known bytes mean known values, and no bytes do harm."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.azure.service_bus.amqp_types import Array, Described, Int, Symbol, Timestamp, UByte, UInt, ULong
from lab.azure.service_bus.codec import MAX_DEPTH, CodecError, decode, encode
from tests.unit.lab.azure.service_bus.amqp_values import VALUES, same


@given(VALUES)
def test_every_value_comes_back_with_its_type(value: Any) -> None:
    raw = encode(value)
    back, end = decode(raw)
    assert end == len(raw)
    assert same(back, value)


@given(VALUES, st.binary(max_size=8))
def test_what_follows_a_value_is_not_read(value: Any, more: bytes) -> None:
    raw = encode(value)
    assert decode(raw + more)[1] == len(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\x40", None),
        (b"\x41", True),
        (b"\x56\x00", False),
        (b"\x50\xff", UByte(255)),
        (b"\x43", UInt(0)),
        (b"\x52\x05", UInt(5)),
        (b"\x70\x00\x00\x01\x00", UInt(256)),
        (b"\x44", ULong(0)),
        (b"\x53\x10", ULong(16)),
        (b"\x54\xff", Int(-1)),
        (b"\x55\xfe", -2),
        (b"\x83" + (1000).to_bytes(8, "big"), Timestamp(1000)),
        (b"\x98" + uuid.UUID(int=5).bytes, uuid.UUID(int=5)),
        (b"\xa0\x02ab", b"ab"),
        (b"\xb1\x00\x00\x00\x02\xc3\xa4", "\xe4"),
        (b"\xa3\x01s", Symbol("s")),
        (b"\x45", []),
        (b"\xc0\x03\x02\x41\x42", [True, False]),
        (b"\xd1\x00\x00\x00\x08\x00\x00\x00\x02\xa1\x01k\x41", {"k": True}),
        (b"\xe0\x04\x02\x50\x01\x02", Array([UByte(1), UByte(2)])),
        (b"\x00\x53\x24\x45", Described(ULong(0x24), [])),
    ],
)
def test_known_bytes_mean_known_values(raw: bytes, value: Any) -> None:
    assert same(decode(raw)[0], value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\x71\x00",
        b"\x98abc",
        b"\x56\x02",
        b"\xa1\x05ab",
        b"\xb1\xff\xff\xff\xffab",
        b"\xa1\x01\xff",
        b"\xa3\x01\xff",
        b"\xc0\x02\x05\x40",
        b"\xc0\x00\x00",
        b"\xc0\x04\x01\x41\x41\x41",
        b"\xc1\x02\x01\x40",
        b"\xc1\x03\x02\x45\x40",
        b"\xe0\x03\x05\x50\x01",
        b"\x73\x00\x11\x00\x00",
    ],
    ids=bytes.hex,
)
def test_broken_bytes_raise_a_codec_error(raw: bytes) -> None:
    with pytest.raises(CodecError):
        decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 100_000,
        b"\x00\x53\x10" * 20_000 + b"\x40",
        b"\xf0\xff\xff\xff\xff\xff\xff\xff\xff\x40",
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",
    ],
    ids=["descriptors", "described", "array too long", "empty items", "list of nothing"],
)
def test_a_bomb_is_refused_before_it_grows(raw: bytes) -> None:
    with pytest.raises(CodecError):
        decode(raw)


def nested(depth: int) -> bytes:
    raw = b"\x45"
    for _ in range(depth):
        raw = b"\xd0" + (len(raw) + 4).to_bytes(4, "big") + (1).to_bytes(4, "big") + raw
    return raw


def test_nesting_is_limited() -> None:
    assert decode(nested(MAX_DEPTH))[1]
    with pytest.raises(CodecError, match="deep"):
        decode(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("value", [object(), {1, 2}, UInt(-1), UInt(2**32), 2**63, Symbol("\xe4"), Array([1, "a"])])
def test_what_has_no_amqp_type_raises_a_codec_error(value: Any) -> None:
    with pytest.raises(CodecError):
        encode(value)


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_random_bytes_decode_or_raise_a_codec_error(raw: bytes) -> None:
    with contextlib.suppress(CodecError):
        value, end = decode(raw)
        assert end <= len(raw)
        assert same(decode(encode(value))[0], value)


@settings(max_examples=300)
@given(VALUES, st.data())
def test_mutated_bytes_decode_or_raise_a_codec_error(value: Any, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        assert decode(bytes(raw))[1] <= len(raw)
