"""A dead letter, read from its bytes: what it says, and an exact copy of it to be sent again.

Must never copy what it cannot read whole: `copy` raises instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from lab.azure.service_bus.amqp_types import Timestamp
from lab.azure.service_bus.codec import CodecError, decode
from lab.azure.service_bus.message import (
    ANNOTATIONS,
    APPLICATION,
    DATA,
    DELIVERY,
    HEADER,
    PROPERTIES,
    SEQUENCE,
    VALUE,
    section,
    sections,
)

REASONS = ("DeadLetterReason", "DeadLetterErrorDescription")
BROKERS = {  # annotations that belong to the broker: each delivery gets its own
    f"x-opt-{name}"
    for name in (
        "sequence-number",
        "enqueue-sequence-number",
        "enqueued-time",
        "locked-until",
        "lock-token",
        "message-state",
        "deadletter-source",
        "scheduled-enqueue-time",
    )
}
TTL = 2  # place in the header
MESSAGE_ID, EXPIRES_AT, CREATED_AT, SESSION = 0, 8, 9, 10  # places in the properties


class Letter:
    """What is known of one. Where its bytes are beyond reading, `kind` is "unreadable" and the rest is empty.

    Args:
        raw: the encoded message.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._sections: dict[int, bytes] = {}
        self._header: list[Any] = []
        self._properties: list[Any] = []
        self._annotations: dict[Any, Any] = {}
        self._application: dict[Any, Any] = {}
        self.kind, self.content = "unreadable", None
        try:
            self._read()
        except CodecError:
            return

    def _read(self) -> None:
        found = sections(self.raw)
        self._header, self._properties = (_read(found, code, list) for code in (HEADER, PROPERTIES))
        self._annotations, self._application = (_read(found, code, dict) for code in (ANNOTATIONS, APPLICATION))
        self.kind, self.content = _body(found)
        self._sections = found

    @property
    def number(self) -> int:
        """The broker's, by which it is found again; 0 if it cannot be read."""
        number = self._annotations.get("x-opt-sequence-number")
        return number if isinstance(number, int) else 0

    @property
    def message_id(self) -> str:
        """Its MessageId, or `number N` if it has none."""
        own = self._properties[MESSAGE_ID] if self._properties else None
        return f"number {self.number}" if own is None else str(own)

    @property
    def reason(self) -> str:
        """Why it died."""
        return str(self._application.get(REASONS[0], ""))

    @property
    def description(self) -> str:
        """Why it died, at length."""
        return str(self._application.get(REASONS[1], ""))

    @property
    def deliveries(self) -> int:
        """How often it was delivered."""
        return int(self._header[4] or 0) if len(self._header) > 4 else 0

    @property
    def enqueued_at(self) -> dt.datetime | None:
        """In UTC."""
        at = self._annotations.get("x-opt-enqueued-time")
        return dt.datetime.fromtimestamp(at / 1000, dt.UTC) if isinstance(at, int) else None

    @property
    def text(self) -> str:
        """The body as a person reads it; a body that no function can be given says what it is, and its size."""
        if self.kind == "data":
            return bytes(self.content or b"").decode(errors="replace")
        what = f" {type(self.content).__name__}" if self.kind == "value" else ""
        shown = "" if self.kind == "unreadable" else f": {self.content!r}"
        return f"{self.kind.upper()}{what}, {len(self.raw)} bytes{shown}"

    @property
    def outside(self) -> dict[str, Any]:
        """What an envelope says of it: its session and partition key."""
        session = self._properties[SESSION] if len(self._properties) > SESSION else None
        return {"session_id": session, "partition_key": self._annotations.get("x-opt-partition-key")}

    def copy(self, message_id: str, now_ms: int) -> bytes:
        """The message as it was first sent, under another id and without the reasons it died for.

        Its body and its properties keep their kinds and AMQP types; a time to live begins anew at `now_ms`.
        Raises CodecError if that cannot be done exactly.
        """
        if not self._sections:
            raise CodecError("it cannot be read, so it cannot be copied exactly")
        header, properties = self._header[: TTL + 1], [*self._properties]
        properties[:1] = [message_id]
        if len(header) > TTL and header[TTL] and len(properties) > CREATED_AT and properties[EXPIRES_AT]:
            properties[CREATED_AT] = Timestamp(now_ms)
            properties[EXPIRES_AT] = Timestamp(now_ms + header[TTL])
        kept = {
            HEADER: header,
            ANNOTATIONS: _without(self._annotations, BROKERS),
            PROPERTIES: properties,
            APPLICATION: _without(self._application, REASONS),
        }
        written = [section(code, content) for code, content in kept.items() if content]
        rest = (raw for code, raw in sorted(self._sections.items()) if code not in (*kept, DELIVERY))
        return b"".join((*written, *rest))


def _read(found: Mapping[int, bytes], code: int, kind: type) -> Any:
    content = decode(found[code])[0].value if code in found else kind()
    if not isinstance(content, kind):
        raise CodecError(f"section 0x{code:02x} is no {kind.__name__}")
    return content


def _without(content: Mapping[Any, Any], names: Any) -> dict[Any, Any]:
    return {name: value for name, value in content.items() if name not in names}


def _body(found: Mapping[int, bytes]) -> tuple[str, Any]:
    if VALUE in found:
        return "value", decode(found[VALUE])[0].value
    if SEQUENCE in found:
        return "sequence", list(_each(found[SEQUENCE]))
    return "data", b"".join(_each(found.get(DATA, b"")))


def _each(raw: bytes) -> Any:
    at = 0
    while at < len(raw):
        part, at = decode(raw, at)
        yield part.value
