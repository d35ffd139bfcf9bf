"""A message as the broker keeps it: the sections it must read or write decoded, the rest as the bytes that came.

It must never change what the sender wrote, beyond the fields that belong to the broker.
"""

from __future__ import annotations

import math
import uuid
from typing import Any

from .amqp_types import Described, Int, Symbol, Timestamp, UInt, ULong
from .codec import CodecError, decode, encode
from .queue import Entry

BATCH_FORMAT = 0x80013700  # message-format of Service Bus's batch envelope: each data section holds one message
HEADER, DELIVERY, ANNOTATIONS, PROPERTIES, APPLICATION, DATA, SEQUENCE, VALUE, FOOTER = range(0x70, 0x79)
MAX_MESSAGE_ID = 128  # characters (page "Service Bus quotas")
MAX_UINT = 2**32 - 1
MAX_APPLICATION = 64 * 1024  # bytes that settling may make of them (same page: message properties)


class Message:
    """One AMQP message. Built from its bytes; raises CodecError if they are none."""

    __slots__ = ("_application", "_body", "_properties", "annotations", "header", "message_id", "own_id")

    def __init__(self, raw: bytes) -> None:
        found = sections(raw)
        self.header = _fields(found.pop(HEADER, b""))
        self.annotations = _map(found.pop(ANNOTATIONS, b""))
        self._properties = found.pop(PROPERTIES, b"")
        self._name()
        self._application = found.pop(APPLICATION, b"")
        _map(self._application)  # a receiver must be able to read it
        found.pop(DELIVERY, None)  # meant for the next node only
        self._body = b"".join(found[code] for code in sorted(found))

    def _name(self) -> None:
        """Read the message's id, or make one up as the service does for the nameless."""
        properties = _fields(self._properties) or [None]
        if properties[0] is None:
            properties[0] = uuid.uuid4().hex
            self._properties = section(PROPERTIES, properties)
        self.own_id = properties[0]  # as it was sent: a string, a number, a UUID or bytes
        self.message_id = str(self.own_id)

    @property
    def ttl_s(self) -> float:
        """Seconds to live, `inf` if the header has no ttl."""
        ttl = self.header[2] if len(self.header) > 2 else None
        return ttl / 1000 if isinstance(ttl, UInt) else math.inf

    @property
    def due_at(self) -> float:
        """When it is to be enqueued, in seconds since 1970; 0 for at once."""
        due = self.annotations.get("x-opt-scheduled-enqueue-time")
        return due / 1000 if isinstance(due, int) else 0.0

    def application(self) -> dict[Any, Any]:
        return _map(self._application)

    def modify(self, properties: dict[str, Any]) -> int:
        """Merge properties into the application properties; returns by how many bytes that grew. Raises CodecError."""
        before, self._application = self._application, self._with(properties)
        return len(self._application) - len(before)

    def _with(self, properties: dict[str, Any]) -> bytes:
        application = section(APPLICATION, self.application() | properties)
        if len(application) > MAX_APPLICATION:
            raise CodecError(f"application properties of more than {MAX_APPLICATION} bytes")
        return application

    def value(self) -> Any:
        """The value of an amqp-value body; None if the body is something else."""
        section = sections(self._body).get(VALUE)
        return decode(section)[0].value if section else None

    def encode(self, entry: Entry[Message], *, lock_token: uuid.UUID | None = None, with_body: bool = True) -> bytes:
        """The message as a receiver gets it: with an entry's delivery count, annotations and dead-letter reason.

        `lock_token` is for what a request receives; on a link the delivery's tag holds it.
        """
        application = self._application
        if any(entry.dead_letter_reason):
            named = zip(("DeadLetterReason", "DeadLetterErrorDescription"), entry.dead_letter_reason, strict=True)
            application = self._with({name: text for name, text in named if text is not None})
        return b"".join(
            (
                section(HEADER, self._stamped_header(entry)),
                section(DELIVERY, {Symbol("x-opt-lock-token"): lock_token}) if lock_token else b"",
                section(ANNOTATIONS, self.annotations | _stamps(entry)),
                self._properties,
                application,
                self._body if with_body else section(DATA, b""),
            )
        )

    def _stamped_header(self, entry: Entry[Message]) -> list[Any]:
        header = [*self.header[:4], *[None] * (4 - len(self.header)), UInt(entry.delivery_count)]
        if entry.ttl_s * 1000 < MAX_UINT:
            header[2] = UInt(round(entry.ttl_s * 1000))
        return header


def _stamps(entry: Entry[Message]) -> dict[Symbol, Any]:
    stamps: dict[str, Any] = {
        "x-opt-sequence-number": entry.sequence,
        "x-opt-enqueue-sequence-number": entry.enqueued_sequence,
        "x-opt-enqueued-time": Timestamp(entry.enqueued_at * 1000),
        "x-opt-message-state": Int(entry.state),
    }
    if entry.lock_token is not None:
        stamps["x-opt-locked-until"] = Timestamp(entry.locked_until * 1000)
    return {Symbol(name): value for name, value in stamps.items()}


def batch(raw: bytes) -> list[bytes]:
    """The encoded messages in a batch envelope. Raises CodecError."""
    parts, at = [], 0
    while at < len(raw):
        part, at = decode(raw, at)
        if not isinstance(part, Described):
            raise CodecError("a message's part is not a section")
        if part.code == DATA and isinstance(part.value, bytes):
            parts.append(part.value)
    return parts


def sections(raw: bytes) -> dict[int, bytes]:
    """An encoded message by section code, as they came; data sections are joined. Raises CodecError."""
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < len(raw):
        part, end = decode(raw, at)
        if not isinstance(part, Described) or not isinstance(code := part.code, ULong):
            raise CodecError("a message's part is not a section")
        if not HEADER <= code <= FOOTER:
            raise CodecError(f"unknown message section 0x{code:02x}")
        if code == DATA and not isinstance(part.value, bytes):
            raise CodecError("a data section without binary data")
        if code in found and code not in (DATA, SEQUENCE):
            raise CodecError(f"message section 0x{code:02x} twice")
        found.setdefault(code, []).append(raw[at:end])
        at = end
    return {code: b"".join(parts) for code, parts in found.items()}


def section(code: int, content: Any) -> bytes:
    return encode(Described(ULong(code), content))


def _fields(raw: bytes) -> list[Any]:
    content = decode(raw)[0].value if raw else []
    if not isinstance(content, list):
        raise CodecError("a header or properties section that is no list")
    return content


def _map(raw: bytes) -> dict[Any, Any]:
    content = decode(raw)[0].value if raw else {}
    if not isinstance(content, dict):
        raise CodecError("an annotations or application-properties section that is no map")
    return content
