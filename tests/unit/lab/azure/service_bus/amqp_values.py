"""AMQP values of every type, made by hypothesis, and a comparison that sees types. Nothing here tests anything."""

from __future__ import annotations

import math
import struct
from typing import Any

from hypothesis import strategies as st

from lab.azure.service_bus.amqp_types import (
    Array,
    Byte,
    Char,
    Decimal,
    Described,
    Float32,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)


def whole(kind: type[int], bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(kind)


TEXT = st.text(st.characters(codec="utf-8"), max_size=300)
ASCII = st.text(st.characters(codec="ascii"), max_size=300)
SCALARS: list[st.SearchStrategy[Any]] = [
    whole(UByte, 8, signed=False),
    whole(UShort, 16, signed=False),
    whole(UInt, 32, signed=False),
    whole(ULong, 64, signed=False),
    whole(Byte, 8, signed=True),
    whole(Short, 16, signed=True),
    whole(Int, 32, signed=True),
    whole(int, 64, signed=True),
    whole(Timestamp, 64, signed=True),
    st.floats(width=32).map(Float32),
    st.floats(),
    st.characters(codec="utf-8").map(Char),
    st.sampled_from((4, 8, 16)).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(Decimal),
    st.uuids(),
    st.binary(max_size=300),
    TEXT,
    ASCII.map(Symbol),
    st.booleans(),
    st.none(),
]
KEYS = st.one_of(ASCII.map(Symbol), TEXT) | whole(UInt, 32, signed=False)
ARRAYS = st.sampled_from(SCALARS).flatmap(lambda kind: st.lists(kind, max_size=5))


def _arrays(items: list[Any]) -> Array:
    if items and isinstance(items[0], Decimal):  # each width is a type of its own
        items = [item for item in items if len(item.raw) == len(items[0].raw)]
    return Array(items)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(SCALARS) | ARRAYS.map(_arrays),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(Described, whole(ULong, 64, signed=False) | ASCII.map(Symbol), inner),
        st.lists(st.dictionaries(KEYS, inner, max_size=2), max_size=3).map(Array),
        st.lists(st.lists(inner, max_size=2), max_size=3).map(Array),
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal in value and in type, all the way down; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, Array):
        return same(one.items, other.items)
    if isinstance(one, Described):
        return same(one.code, other.code) and same(one.value, other.value)
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or struct.pack(">d", one) == struct.pack(">d", other)
    return bool(one == other)
