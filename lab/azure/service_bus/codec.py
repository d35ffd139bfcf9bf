"""AMQP 1.0 types on the wire: bytes to Python values and back (OASIS AMQP 1.0, part 1 "Types").

It must never trust its input: every length is checked against what is there, nesting and counts are bounded, and
whatever is wrong ends in one `CodecError`. It knows no performative and no message: see `performatives` and `message`.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from .amqp_types import (
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

MAX_DEPTH = 32  # real messages nest 6 deep at most; Python's own stack ends near 1000
MAX_EMPTY_ITEMS = 64  # array items of no width cost no bytes, so nothing else would bound their number

Buffer: TypeAlias = bytes | memoryview


class CodecError(ValueError):
    """The bytes are not AMQP 1.0, or the value has no AMQP type."""


Reader: TypeAlias = Callable[
    [Buffer, int, int], tuple[Any, int]
]  # (buffer, position, depth) -> (value, position after)


def decode(buffer: Buffer, at: int = 0) -> tuple[Any, int]:
    """The value at a position, and the position after it.

    Gives None, bool, int and float (subclassed by width), str, bytes, UUID, list, dict, Symbol, Char, Decimal,
    Described or Array. Raises CodecError.
    """
    try:
        return _READERS[buffer[at]](buffer, at + 1, 0)
    except CodecError:
        raise
    except (IndexError, ValueError, TypeError, struct.error) as bad:
        raise CodecError(f"not an AMQP value: {bad}") from bad


def encode(value: Any) -> bytes:
    """A value in AMQP's encoding; a plain int goes out as a long. Raises CodecError for a value with no AMQP type."""
    try:
        return _WRITERS[type(value)](value)
    except CodecError:
        raise
    except KeyError:
        raise CodecError(f"no AMQP type for {type(value).__name__}") from None
    except (struct.error, OverflowError, UnicodeError) as bad:
        raise CodecError(f"{type(value).__name__} out of its range: {bad}") from bad


# --- reading ----------------------------------------------------------------------------------------------------------
_UINT = struct.Struct(">I")


def _unknown(buffer: Buffer, at: int, _depth: int) -> tuple[Any, int]:
    raise CodecError(f"unknown AMQP constructor 0x{buffer[at - 1]:02x}")


def _constant(value: Any) -> Reader:
    return lambda _buffer, at, _depth: (value, at)


def _small(kind: Callable[[int], Any]) -> Reader:
    return lambda buffer, at, _depth: (kind(buffer[at]), at + 1)


def _fixed(layout: str, kind: Callable[[Any], Any] | None = None) -> Reader:
    packed = struct.Struct(layout)

    def read(buffer: Buffer, at: int, _depth: int) -> tuple[Any, int]:
        value = packed.unpack_from(buffer, at)[0]
        return (kind(value) if kind else value), at + packed.size

    return read


def _sized(width: int, kind: Callable[[bytes], Any]) -> Reader:
    def read(buffer: Buffer, at: int, _depth: int) -> tuple[Any, int]:
        start, end = _extent(buffer, at, width)
        return kind(bytes(buffer[start:end])), end

    return read


def _extent(buffer: Buffer, at: int, width: int) -> tuple[int, int]:
    """Where a sized value's content starts and ends."""
    size = buffer[at] if width == 1 else _UINT.unpack_from(buffer, at)[0]
    start = at + width
    if start + size > len(buffer):
        raise CodecError("truncated AMQP value")
    return start, start + size


def _boolean(code: int) -> bool:
    if code > 1:
        raise CodecError(f"a boolean of {code}")
    return code == 1


def _described(buffer: Buffer, at: int, depth: int) -> tuple[Any, int]:
    _check(depth)
    code, at = _READERS[buffer[at]](buffer, at + 1, depth + 1)
    value, at = _READERS[buffer[at]](buffer, at + 1, depth + 1)
    return Described(code, value), at


def _check(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise CodecError(f"values nested more than {MAX_DEPTH} deep")


def _items(buffer: Buffer, at: int, width: int, depth: int) -> tuple[list[Any], int]:
    _check(depth)
    start, end = _extent(buffer, at, width)
    count, at = _extent_count(buffer, start, end, width)
    if count > end - at:
        raise CodecError("a compound value with more items than bytes")
    items = []
    for _ in range(count):
        item, at = _READERS[buffer[at]](buffer, at + 1, depth + 1)
        items.append(item)
    if at != end:
        raise CodecError("a compound value whose items do not fill it")
    return items, end


def _extent_count(buffer: Buffer, start: int, end: int, width: int) -> tuple[int, int]:
    if start + width > end:
        raise CodecError("a compound value too short for its count")
    return (buffer[start] if width == 1 else _UINT.unpack_from(buffer, start)[0]), start + width


def _list(width: int) -> Reader:
    return lambda buffer, at, depth: _items(buffer, at, width, depth)


def _map(width: int) -> Reader:
    def read(buffer: Buffer, at: int, depth: int) -> tuple[Any, int]:
        items, end = _items(buffer, at, width, depth)
        if len(items) % 2:
            raise CodecError("a map with a key and no value")
        return dict(zip(items[::2], items[1::2], strict=True)), end

    return read


def _array(width: int) -> Reader:
    def read(buffer: Buffer, at: int, depth: int) -> tuple[Any, int]:
        _check(depth)
        start, end = _extent(buffer, at, width)
        count, at = _extent_count(buffer, start, end, width)
        descriptor: list[Any] = []
        if buffer[at] == 0x00:
            code, at = _READERS[buffer[at + 1]](buffer, at + 2, depth + 1)
            descriptor = [code]
        read_item, at = _READERS[buffer[at]], at + 1
        if count > max(end - at, MAX_EMPTY_ITEMS):
            raise CodecError("an array with more items than bytes")
        items = []
        for _ in range(count):
            item, at = read_item(buffer, at, depth + 1)
            items.append(Described(descriptor[0], item) if descriptor else item)
        if at != end:
            raise CodecError("an array whose items do not fill it")
        return Array(items), end

    return read


def _text(raw: bytes) -> str:
    return str(raw, "utf-8")


def _symbol(raw: bytes) -> Symbol:
    return Symbol(raw, "ascii")


_READERS: list[Reader] = [_unknown] * 256
_READERS[0x00] = _described
_READERS[0x40:0x46] = [
    _constant(None),
    _constant(True),
    _constant(False),
    _constant(UInt(0)),
    _constant(ULong(0)),
    lambda _buffer, at, _depth: ([], at),
]
for _code, _reader in {
    0x50: _small(UByte),
    0x51: _fixed(">b", Byte),
    0x52: _small(UInt),
    0x53: _small(ULong),
    0x54: _fixed(">b", Int),
    0x55: _fixed(">b"),
    0x56: _small(_boolean),
    0x60: _fixed(">H", UShort),
    0x61: _fixed(">h", Short),
    0x70: _fixed(">I", UInt),
    0x71: _fixed(">i", Int),
    0x72: _fixed(">f", Float32),
    0x73: _fixed(">4s", lambda raw: Char(raw, "utf-32-be")),
    0x74: _fixed(">4s", Decimal),
    0x80: _fixed(">Q", ULong),
    0x81: _fixed(">q"),
    0x82: _fixed(">d"),
    0x83: _fixed(">q", Timestamp),
    0x84: _fixed(">8s", Decimal),
    0x94: _fixed(">16s", Decimal),
    0x98: _fixed(">16s", lambda raw: uuid.UUID(bytes=raw)),
    0xA0: _sized(1, bytes),
    0xA1: _sized(1, _text),
    0xA3: _sized(1, _symbol),
    0xB0: _sized(4, bytes),
    0xB1: _sized(4, _text),
    0xB3: _sized(4, _symbol),
    0xC0: _list(1),
    0xC1: _map(1),
    0xD0: _list(4),
    0xD1: _map(4),
    0xE0: _array(1),
    0xF0: _array(4),
}.items():
    _READERS[_code] = _reader


# --- writing ----------------------------------------------------------------------------------------------------------
def _packed(code: int, layout: str) -> Callable[[Any], bytes]:
    packed = struct.Struct(">B" + layout)
    return lambda value: packed.pack(code, value)


def _prefixed(code: int, body: bytes) -> bytes:
    """With the short constructor if the length fits in a byte (0xA_), else with the long one (0xB_)."""
    if len(body) < 256:
        return bytes((code, len(body))) + body
    return struct.pack(">BI", code + 0x10, len(body)) + body


def _compound(code: int, count: int, body: bytes) -> bytes:
    if len(body) < 255 and count < 256:
        return bytes((code, len(body) + 1, count)) + body
    return struct.pack(">BII", code + 0x10, len(body) + 4, count) + body


def _write_uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if 0 < value < 256 else struct.pack(">BI", 0x70, value)


def _write_ulong(value: int) -> bytes:
    return bytes((0x53, value)) if 0 < value < 256 else struct.pack(">BQ", 0x80, value)


def _write_list(values: list[Any] | tuple[Any, ...]) -> bytes:
    if not values:
        return b"\x45"
    return _compound(0xC0, len(values), b"".join([encode(value) for value in values]))


def _write_map(values: dict[Any, Any]) -> bytes:
    body = b"".join([encode(part) for pair in values.items() for part in pair])
    return _compound(0xC1, 2 * len(values), body)


def _write_array(array: Array) -> bytes:
    """Always with the widest constructor of the items' type, since they must all share it."""
    if not array.items:
        return b"\xe0\x02\x00\x40"
    if len({type(item) for item in array.items}) != 1:
        raise CodecError("an array's items must be of one type")
    first, descriptor, items = array.items[0], b"", array.items
    if isinstance(first, Described):
        descriptor, items = b"\x00" + encode(first.code), [item.value for item in array.items]
    widest = [_widest(item) for item in items]
    if len({raw[0] for raw in widest}) != 1:
        raise CodecError("an array's items must be of one type")
    body = descriptor + widest[0][:1] + b"".join([raw[1:] for raw in widest])
    return struct.pack(">BII", 0xF0, len(body) + 4, len(items)) + body


def _widest(value: Any) -> bytes:
    """The value with its type's widest constructor."""
    kind = type(value)
    if kind in _WIDE:
        return struct.pack(">B" + _WIDE[kind][1], _WIDE[kind][0], value)
    raw = encode(value)
    if kind is bool:
        return bytes((0x56, value))
    if kind in (str, Symbol, bytes) and raw[0] < 0xB0:
        return struct.pack(">BI", raw[0] + 0x10, raw[1]) + raw[2:]
    if kind in (list, tuple, dict) and raw[0] < 0xD0:
        count, body = (0, b"") if raw[0] == 0x45 else (raw[2], raw[3:])
        code = 0xD1 if kind is dict else 0xD0
        return struct.pack(">BII", code, len(body) + 4, count) + body
    return raw


_WIDE: dict[type, tuple[int, str]] = {UInt: (0x70, "I"), ULong: (0x80, "Q"), int: (0x81, "q"), Int: (0x71, "i")}
_DECIMALS = {4: b"\x74", 8: b"\x84", 16: b"\x94"}


def _write_decimal(value: Decimal) -> bytes:
    if len(value.raw) not in _DECIMALS:
        raise CodecError("a decimal has 4, 8 or 16 bytes")
    return _DECIMALS[len(value.raw)] + value.raw


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _value: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    UByte: _packed(0x50, "B"),
    UShort: _packed(0x60, "H"),
    UInt: _write_uint,
    ULong: _write_ulong,
    Byte: _packed(0x51, "b"),
    Short: _packed(0x61, "h"),
    Int: _packed(0x71, "i"),
    int: _packed(0x81, "q"),
    Timestamp: _packed(0x83, "q"),
    Float32: _packed(0x72, "f"),
    float: _packed(0x82, "d"),
    Char: lambda value: b"\x73" + value.encode("utf-32-be"),
    Decimal: _write_decimal,
    uuid.UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _prefixed(0xA0, value),
    bytearray: lambda value: _prefixed(0xA0, bytes(value)),
    str: lambda value: _prefixed(0xA1, value.encode()),
    Symbol: lambda value: _prefixed(0xA3, value.encode("ascii")),
    list: _write_list,
    tuple: _write_list,
    dict: _write_map,
    Array: _write_array,
    Described: lambda value: b"\x00" + encode(value.code) + encode(value.value),
}
