"""A dead letter, read from its bytes: what it says, and an exact copy of it to be sent again.

Must never copy what it cannot read whole: `copy` raises instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterator, Mapping
from typing import Any

from lab.azure.service_bus import message as wire
from lab.azure.service_bus.amqp_types import Timestamp
from lab.azure.service_bus.codec import CodecError, decode

REASONS = ("DeadLetterReason", "DeadLetterErrorDescription")
STAMPS = "sequence-number enqueue-sequence-number enqueued-time locked-until lock-token message-state deadletter-source"
BROKER_S = {f"x-opt-{name}" for name in (*STAMPS.split(), "scheduled-enqueue-time")}  # each delivery gets its own
READ: dict[int, type[Any]] = {wire.HEADER: list, wire.ANNOTATIONS: dict, wire.PROPERTIES: list, wire.APPLICATION: dict}
TTL, DELIVERY_COUNT = 2, 4  # places in the header
EXPIRES_AT, CREATED_AT, SESSION = 8, 9, 10  # places in the properties; the MessageId is the first


class Letter:
    """What is known of a letter; nothing if its bytes cannot be read.

    `raw`: the encoded message. `number`: the broker's, by which it is found again. `message_id`: as text, or `number N`
    if it has none. `reason`, `description`: why it died. `kind`: of its body: data, value, sequence or unreadable.
    `content`: its body, as bytes, as a value or as a list.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        try:
            self._sections = wire.sections(raw)
            self._read = {code: _content(self._sections, code) for code in READ}
            self.kind, self.content = _body(self._sections)
        except CodecError:
            self._sections, self._read = {}, {code: kind() for code, kind in READ.items()}
            self.kind, self.content = "unreadable", None
        header, notes, properties, application = self._read.values()
        self.number = int(notes.get("x-opt-sequence-number", 0))
        self.message_id = str(properties[0]) if properties and properties[0] is not None else f"number {self.number}"
        self.reason, self.description = (str(application.get(name, "")) for name in REASONS)
        self.deliveries = int(_at(header, DELIVERY_COUNT) or 0)
        enqueued = notes.get("x-opt-enqueued-time")
        self.enqueued_at = enqueued and dt.datetime.fromtimestamp(enqueued / 1000, dt.UTC)
        self.outside = {  # what an envelope says of it
            "session_id": _at(properties, SESSION),
            "partition_key": notes.get("x-opt-partition-key"),
        }

    @property
    def text(self) -> str:
        """The body as a person reads it; a body that no function can be given says what it is, and its size."""
        if self.kind == "data":
            return bytes(self.content).decode(errors="replace")
        what = f" {type(self.content).__name__}" if self.kind == "value" else ""
        shown = "" if self.kind == "unreadable" else f": {self.content!r}"
        return f"{self.kind.upper()}{what}, {len(self.raw)} bytes{shown}"

    def copy(self, message_id: str, now_ms: int) -> bytes:
        """The message as it was first sent, under another id and without the reasons it died for.

        Its body and its properties keep their kinds and AMQP types; a time to live begins anew at `now_ms`.
        Raises CodecError if that cannot be done exactly.
        """
        if not self._sections:
            raise CodecError("it cannot be read, so it cannot be copied exactly")
        header, notes, properties, application = self._read.values()
        properties = [message_id, *properties[1:]]
        if (ttl := _at(header, TTL)) and _at(properties, EXPIRES_AT) and len(properties) > CREATED_AT:
            properties[CREATED_AT], properties[EXPIRES_AT] = Timestamp(now_ms), Timestamp(now_ms + ttl)
        kept = {
            wire.HEADER: header[: TTL + 1],
            wire.ANNOTATIONS: _without(notes, BROKER_S),
            wire.PROPERTIES: properties,
            wire.APPLICATION: _without(application, REASONS),
        }
        written = [wire.section(code, content) for code, content in kept.items() if content]
        rest = [raw for code, raw in sorted(self._sections.items()) if code not in (*kept, wire.DELIVERY)]
        return b"".join(written + rest)


def _content(found: Mapping[int, bytes], code: int) -> Any:
    kind = READ[code]
    content = decode(found[code])[0].value if code in found else kind()
    if not isinstance(content, kind):
        raise CodecError(f"section 0x{code:02x} is no {kind.__name__}")
    return content


def _at(fields: list[Any], place: int) -> Any:
    """Fields at the end of a list may be left out."""
    return fields[place] if len(fields) > place else None


def _without(content: Mapping[Any, Any], names: Container[str]) -> dict[Any, Any]:
    return {name: value for name, value in content.items() if name not in names}


def _body(found: Mapping[int, bytes]) -> tuple[str, Any]:
    if wire.VALUE in found:
        return "value", decode(found[wire.VALUE])[0].value
    if wire.SEQUENCE in found:
        return "sequence", list(_each(found[wire.SEQUENCE]))
    return "data", b"".join(_each(found.get(wire.DATA, b"")))


def _each(raw: bytes) -> Iterator[Any]:
    at = 0
    while at < len(raw):
        part, at = decode(raw, at)
        yield part.value
