"""The AMQP 1.0 types that Python has no type for (OASIS AMQP 1.0, part 1 "Types").

Values only: how they look on the wire is `codec`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class UByte(int): ...


class UShort(int): ...


class UInt(int): ...


class ULong(int): ...


class Byte(int): ...


class Short(int): ...


class Int(int): ...


class Timestamp(int):
    """Milliseconds since 1970, UTC."""


class Float32(float): ...


class Char(str): ...


class Symbol(str): ...


@dataclass(frozen=True, slots=True)
class Decimal:
    """A decimal32, 64 or 128, kept as its 4, 8 or 16 bytes: nothing here calculates with it."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it means."""

    code: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type, which share one constructor on the wire."""

    items: list[Any]
