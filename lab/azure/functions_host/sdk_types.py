"""Keeps two distinctions that the SDK's AMQP decoder drops: text from binary, and a timestamp from a number.

It hands over both kinds of the first as bytes, and a timestamp as its milliseconds since 1970. Here they become
subclasses of what they were, so that the SDK works on as before. Were its private table gone, they would only be
what they are without this.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

CODES = {0xA1: "text", 0xB1: "text", 0xA3: "text", 0xB3: "text", 0x83: "timestamp"}  # AMQP 1.0, part 1.6
MODULE, TABLE = "azure.servicebus._pyamqp._decode", "_DECODE_BY_CONSTRUCTOR"

Decoder = Callable[..., tuple[Any, Any]]


class Text(bytes):
    """A string or a symbol."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970."""

    __slots__ = ()


def keep_types() -> bool:
    """Mark both kinds from now on, in this process; False if this SDK cannot be made to."""
    table = getattr(importlib.import_module(MODULE), TABLE, None)
    if not isinstance(table, list):
        return False
    for code, kind in CODES.items():
        if getattr(table[code], "marks", None) is None:
            table[code] = marking(table[code], Text if kind == "text" else Timestamp)
    return True


def kept() -> bool:
    """True once the kinds are marked in this process."""
    table = getattr(sys.modules.get(MODULE), TABLE, None)
    return isinstance(table, list) and getattr(table[0xA1], "marks", None) is not None


def is_binary(value: bytes) -> bool:
    """True for AMQP binary. If types are not kept: True for invalid UTF-8."""
    if kept():
        return bool(value) and not isinstance(value, Text)
    try:
        value.decode()
    except UnicodeDecodeError:
        return True
    return False


def marking(decode: Decoder, kind: type) -> Decoder:
    """A decoder whose values are of this class."""

    def decode_marked(buffer: Any, *depth: int) -> tuple[Any, Any]:
        rest, value = decode(buffer, *depth)
        return rest, kind(value)

    decode_marked.marks = kind  # type: ignore[attr-defined]
    return decode_marked
