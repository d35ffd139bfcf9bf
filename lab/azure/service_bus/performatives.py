"""The frames of AMQP 1.0 as typed tuples, with the outcomes and errors they carry (parts 2 and 5 of the standard).

It must never let a field of the wrong type through: what `parse` returns has the types written here.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

from .amqp_types import Described, Symbol, UByte, UInt, ULong, UShort
from .codec import CodecError, encode

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
ERROR = 0x1D
RECEIVED, ACCEPTED, REJECTED, RELEASED, MODIFIED = range(0x23, 0x28)
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44

SENDER, RECEIVER = False, True  # an attach's and a disposition's role
PRESETTLED = 1  # an attach's snd-settle-mode: no answer is wanted


class Open(NamedTuple):
    container_id: str
    hostname: str | None = None
    max_frame_size: UInt | None = None
    channel_max: UShort | None = None
    idle_time_out: UInt | None = None  # milliseconds


class Begin(NamedTuple):
    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt


class Attach(NamedTuple):
    name: str
    handle: UInt
    role: bool
    snd_settle_mode: UByte | None = None
    rcv_settle_mode: UByte | None = None
    source: Described | None = None
    target: Described | None = None


class Flow(NamedTuple):
    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool | None = None
    echo: bool | None = None


class Transfer(NamedTuple):
    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: UByte | None = None
    state: Described | None = None
    resume: bool | None = None
    aborted: bool | None = None


class Disposition(NamedTuple):
    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool | None = None
    state: Described | None = None


class Detach(NamedTuple):
    handle: UInt
    closed: bool | None = None
    error: Described | None = None


class End(NamedTuple):
    error: Described | None = None


class Close(NamedTuple):
    error: Described | None = None


class SaslInit(NamedTuple):
    mechanism: Symbol
    initial_response: bytes | None = None


Performative: TypeAlias = Open | Begin | Attach | Flow | Transfer | Disposition | Detach | End | Close | SaslInit


def _types(kind: type[Any]) -> list[tuple[type, ...]]:
    """Per field, the types that its annotation allows."""
    allowed = (get_args(hint) or (hint,) for hint in get_type_hints(kind).values())
    return [tuple(get_origin(one) or one for one in ones) for ones in allowed]


_CODES = (*range(OPEN, CLOSE + 1), SASL_INIT)  # in the order of Performative
_SPECS = {code: (kind, _types(kind)) for code, kind in zip(_CODES, get_args(Performative), strict=True)}
# Fields of each performative in the standard.
_WIDTHS = {OPEN: 10, BEGIN: 8, ATTACH: 14, FLOW: 11, TRANSFER: 11, DISPOSITION: 6, DETACH: 3, END: 1, CLOSE: 1}


def parse(frame: Any) -> Performative:
    """A decoded frame body as its typed tuple, without the trailing fields nothing here uses. Raises CodecError."""
    if not isinstance(frame, Described) or not isinstance(frame.value, list) or not isinstance(frame.code, ULong):
        raise CodecError("a frame without a performative")
    if (known := _SPECS.get(frame.code)) is None:
        raise CodecError(f"unknown performative 0x{frame.code:02x}")
    kind, spec = known
    fields = frame.value[: len(spec)]
    for at, (field, types) in enumerate(zip(fields, spec, strict=False)):
        if not isinstance(field, types):
            raise CodecError(f"{kind.__name__.lower()}.{kind._fields[at]} has the wrong type")
    try:
        parsed: Performative = kind(*fields)
    except TypeError:
        raise CodecError(f"{kind.__name__.lower()} lacks a field") from None
    return parsed


def pack(code: int, *fields: Any) -> bytes:
    """A frame's performative as bytes, its unused fields as nulls: azure-servicebus before 7.15 reads by position."""
    return encode(Described(ULong(code), [*fields, *[None] * (_WIDTHS.get(code, 0) - len(fields))]))


def error(condition: str, text: str) -> Described:
    """An AMQP error. Always with an info map: pyamqp's send never ends on an error without one (7.15.0)."""
    return Described(ULong(ERROR), [Symbol(condition), text, {Symbol("source"): "local service bus"}])


def state(code: int, *fields: Any) -> Described:
    """A delivery state, for a disposition."""
    return Described(ULong(code), list(fields))
