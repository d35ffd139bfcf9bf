"""One AMQP link and the deliveries on it: credit, counts, message assembly (OASIS AMQP 1.0, part 2.6).

It must never hold more of an unfinished message than a message may have.
"""

from __future__ import annotations

from typing import Any, Protocol

from . import performatives as amqp
from .amqp_types import Described, UInt
from .codec import CodecError
from .limits import LINK_CREDIT, MAX_MESSAGE, MAX_PARTIALS
from .peer import Peer
from .performatives import Attach, Flow, Transfer

FILTER = 7  # its place in a source (part 3.5.3)


class Channel(Protocol):
    """What a link asks of its session. `partials` are the links of its connection in the middle of a message."""

    partials: set[Link]
    replies: dict[str, Link]  # request-response nodes: the link their answers leave on, by address

    @property
    def peer(self) -> Peer: ...

    @property
    def can_send(self) -> bool: ...

    def next_delivery(self) -> int: ...

    def send(self, code: int, *fields: Any) -> None: ...

    def send_message(self, delivery: Delivery, raw: bytes) -> None: ...

    def send_flow(self, link: Link, *, drain: bool = False) -> None: ...

    def writable(self, link: Link) -> None: ...

    def drop(self, link: Link) -> None: ...


class Delivery:
    """A message in flight, either way."""

    __slots__ = ("format", "link", "number", "raw", "settled", "size", "tag")

    def __init__(self, link: Link, number: int, tag: bytes, format_: int = 0, *, settled: bool = False) -> None:
        self.link, self.number, self.tag, self.format = link, number, tag, format_
        self.settled = settled  # the sender wants no answer
        self.raw = bytearray()
        self.size = 0  # bytes received; past MAX_MESSAGE they are only counted

    def add(self, payload: bytes | memoryview) -> None:
        self.size += len(payload)
        if self.size <= MAX_MESSAGE:
            self.raw += payload
        else:
            self.raw.clear()

    def confirm(self, outcome: Described) -> None:
        self.link.confirm(self, outcome)


class Link:
    """One end of a link. `sending` is ours: messages go out of the broker.

    `role` and `queue_name` are the broker's to set.
    """

    def __init__(self, session: Channel, attach: Attach) -> None:
        self.session, self.name, self.handle = session, attach.name, attach.handle
        self.sending = attach.role is amqp.RECEIVER
        self.presettled = attach.snd_settle_mode == amqp.PRESETTLED
        terminus = _fields(attach.source if self.sending else attach.target)
        self.address = terminus[0] if terminus and isinstance(terminus[0], str) else ""
        filters = terminus[FILTER] if self.sending and len(terminus) > FILTER else None
        self.filters: dict[Any, Any] = filters if isinstance(filters, dict) else {}
        self.role = self.queue_name = ""
        self.credit = 0
        self.unconfirmed = 0  # messages received and not confirmed yet
        self.count = 0  # deliveries so far
        self.partial: Delivery | None = None
        self.attached = True

    @property
    def can_send(self) -> bool:
        return self.credit > 0 and self.attached and self.session.can_send

    # --- out ----------------------------------------------------------------------------------------------------------
    def send(self, raw: bytes, tag: bytes, *, settled: bool) -> None:
        """Send a message; the caller has looked at `can_send`."""
        self.credit -= 1
        self.count += 1
        self.session.send_message(Delivery(self, self.session.next_delivery(), tag, settled=settled), raw)

    def granted(self, flow: Flow) -> None:
        """The receiver says how much more it takes."""
        self.credit = max((flow.delivery_count or 0) + (flow.link_credit or 0) - self.count, 0)
        self.session.writable(self)
        if flow.drain and self.attached:
            self.count, self.credit = self.count + self.credit, 0
            self.session.send_flow(self, drain=True)

    # --- in -----------------------------------------------------------------------------------------------------------
    def assemble(self, transfer: Transfer, payload: bytes | memoryview) -> Delivery | None:
        """Add a frame to the message under way; returns it once it is whole."""
        if self.partial is None:
            if transfer.delivery_id is None or transfer.delivery_tag is None:
                raise CodecError("a first transfer needs delivery-id and delivery-tag")
            if self.credit <= 0:
                raise CodecError("more messages than the link has credit for")
            settled = bool(transfer.settled) or self.presettled
            format_ = transfer.message_format or 0
            self.partial = Delivery(self, transfer.delivery_id, transfer.delivery_tag, format_, settled=settled)
        elif transfer.delivery_id not in (None, self.partial.number):
            raise CodecError("two deliveries mixed on one link")
        partials = self.session.partials
        if transfer.aborted:
            self.partial = None
            partials.discard(self)
            return None
        self.partial.add(payload)
        if transfer.more:
            partials.add(self)
            if len(partials) > MAX_PARTIALS:
                raise CodecError(f"more than {MAX_PARTIALS} messages under way at once")
            return None
        delivery, self.partial = self.partial, None
        partials.discard(self)
        self.credit -= 1
        self.unconfirmed += 1
        self.count += 1
        return delivery

    def confirm(self, delivery: Delivery, outcome: Described) -> None:
        """Say how an incoming delivery ended, and let the sender send another in its place."""
        if not self.attached:
            return
        if not delivery.settled:
            number = UInt(delivery.number)
            self.session.send(amqp.DISPOSITION, amqp.RECEIVER, number, number, True, outcome)
        self.unconfirmed -= 1
        self.replenish()

    def replenish(self) -> None:
        """Give credit again once half of it is used; what is unconfirmed keeps its share."""
        full = LINK_CREDIT - self.unconfirmed
        if full - self.credit >= LINK_CREDIT // 2:
            self.credit = full
            self.session.send_flow(self)

    def detach(self, why: Described | None = None) -> None:
        if self.attached:
            self.session.send(amqp.DETACH, UInt(self.handle), True, why)
            self.session.drop(self)


def _fields(terminus: Described | None) -> list[Any]:
    fields = terminus.value if terminus is not None else None
    return fields if isinstance(fields, list) else []
