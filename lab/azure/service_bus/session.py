"""One AMQP session: its links, its windows and the deliveries it still has to hear about (OASIS AMQP 1.0, part 2.5).

It must never queue more for a peer that does not read than one message.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from . import performatives as amqp
from .amqp_types import Described, UByte, UInt, ULong, UShort
from .codec import CodecError
from .limits import MAX_LINKS, MAX_MESSAGE, MAX_UNSETTLED, WINDOW
from .link import Delivery, Link
from .node import Node
from .peer import Peer
from .performatives import Attach, Begin, Detach, Disposition, Flow, Performative, Transfer

FRAME_OVERHEAD = 64  # bytes kept free in a frame for the transfer itself


class Wire(Peer, Protocol):
    """What a session asks of its connection."""

    node: Node
    max_frame: int
    writable: bool
    partials: set[Link]

    def send(self, channel: int, body: bytes) -> None: ...


class Session:
    """Answers a peer's begin, and handles every frame on its channel until the end."""

    def __init__(self, peer: Wire, channel: int, begin: Begin) -> None:
        self.peer, self.channel, self.partials = peer, channel, peer.partials
        self.links: dict[int, Link] = {}  # by the peer's handle, which is also ours
        self.replies: dict[str, Link] = {}
        self._unsettled: dict[int, Delivery] = {}
        self._waiting: deque[bytes] = deque()  # transfer frames their window has no room for
        self._their_window = int(begin.incoming_window)
        self._next_in, self._next_out = int(begin.next_outgoing_id), 0  # transfer frames
        self._window = WINDOW
        self._delivery_in: int | None = None  # the next delivery-id we must see
        self._delivery_out = 0
        self.send(amqp.BEGIN, UShort(channel), UInt(0), UInt(WINDOW), UInt(WINDOW), UInt(MAX_LINKS - 1))

    def handle(self, frame: Performative, payload: bytes | memoryview) -> None:
        """Act on a frame. Raises CodecError if it breaks the protocol."""
        match frame:
            case Transfer():
                self._transfer(frame, payload)
            case Disposition():
                self._disposition(frame)
            case Flow():
                self._flow(frame)
            case Attach():
                self._attach(frame)
            case Detach():
                self._detach(frame)
            case _:
                raise CodecError(f"{type(frame).__name__.lower()} inside a session")

    # --- out ----------------------------------------------------------------------------------------------------------
    @property
    def can_send(self) -> bool:
        return not self._waiting and self._their_window > 0 and self.peer.writable

    def send(self, code: int, *fields: Any) -> None:
        self.peer.send(self.channel, amqp.pack(code, *fields))

    def next_delivery(self) -> int:
        self._delivery_out = (self._delivery_out + 1) % 2**32
        return self._delivery_out

    def send_message(self, delivery: Delivery, raw: bytes) -> None:
        """Send a message in as many frames as it takes, and remember it until it is settled."""
        if not delivery.settled:
            self._unsettled[delivery.number] = delivery
            if len(self._unsettled) > MAX_UNSETTLED:
                del self._unsettled[next(iter(self._unsettled))]
        room = self.peer.max_frame - FRAME_OVERHEAD
        handle, number = UInt(delivery.link.handle), UInt(delivery.number)
        for at in range(0, len(raw) or 1, room):
            more = at + room < len(raw)
            head = amqp.pack(amqp.TRANSFER, handle, number, delivery.tag, UInt(0), delivery.settled, more)
            self._waiting.append(head + raw[at : at + room])
        self._push()

    def send_flow(self, link: Link | None = None, *, drain: bool = False) -> None:
        fields: list[Any] = [UInt(self._next_in), UInt(self._window), UInt(self._next_out), UInt(WINDOW)]
        if link is not None:
            fields += [UInt(link.handle), UInt(link.count % 2**32), UInt(link.credit), None, drain]
        self.send(amqp.FLOW, *fields)

    def _push(self) -> None:
        while self._waiting and self._their_window > 0:
            self._their_window -= 1
            self._next_out = (self._next_out + 1) % 2**32
            self.peer.send(self.channel, self._waiting.popleft())

    # --- in -----------------------------------------------------------------------------------------------------------
    def _transfer(self, transfer: Transfer, payload: bytes | memoryview) -> None:
        self._next_in = (self._next_in + 1) % 2**32
        self._window -= 1
        link = self.links.get(transfer.handle)
        if link is not None and not link.sending:
            self._in_order(link, transfer)
            delivery = link.assemble(transfer, payload)
            if delivery is not None:
                self.peer.node.received(delivery)
        else:
            self._delivery_in = None  # on its way while we detached its link
        if self._window < WINDOW // 2:
            self._window = WINDOW
            self.send_flow()

    def _in_order(self, link: Link, transfer: Transfer) -> None:
        """Delivery-ids must rise by one: a client that mixes two sends on one session is found out here."""
        if link.partial is not None or transfer.delivery_id is None:
            return
        if self._delivery_in not in (None, transfer.delivery_id):
            raise CodecError(f"delivery-id {transfer.delivery_id} where {self._delivery_in} was due")
        self._delivery_in = (transfer.delivery_id + 1) % 2**32

    def _disposition(self, frame: Disposition) -> None:
        if frame.role is not amqp.RECEIVER:
            return  # a sender settling what we have settled already
        last = frame.first if frame.last is None else frame.last
        if not isinstance(frame.state, Described):
            return
        numbers = [frame.first] if last == frame.first else [n for n in self._unsettled if frame.first <= n <= last]
        for number in numbers:
            delivery = self._unsettled.pop(number, None)
            node = self.peer.node
            answer = node.settled(delivery, frame.state) if delivery else node.unknown_delivery()
            if not frame.settled:
                self.send(amqp.DISPOSITION, amqp.SENDER, UInt(number), UInt(number), True, answer)

    def _flow(self, flow: Flow) -> None:
        self._their_window = max(int(flow.next_incoming_id or 0) + flow.incoming_window - self._next_out, 0)
        self._push()
        link = None if flow.handle is None else self.links.get(flow.handle)
        if link is not None and link.sending:
            link.granted(flow)
        else:
            self.resume()
        if flow.echo:
            self.send_flow(link)

    def resume(self) -> None:
        """The peer reads again: every link may go on."""
        for link in list(self.links.values()):
            if link.sending:
                self.writable(link)

    def writable(self, link: Link) -> None:
        self.peer.node.writable(link)

    def _attach(self, attach: Attach) -> None:
        if attach.handle >= MAX_LINKS or attach.handle in self.links:
            raise CodecError(f"handle {attach.handle} is in use or above {MAX_LINKS - 1}")
        link = Link(self, attach)
        refusal = self.peer.node.attached(link)
        # A refused link is attached without source and target, then detached (part 2.6.3).
        ends = (None, None) if refusal else (attach.source, attach.target)
        modes = UByte(attach.snd_settle_mode or 0), UByte(attach.rcv_settle_mode or 0)
        count = UInt(0) if link.sending else None
        handle = UInt(attach.handle)
        self.send(
            amqp.ATTACH, attach.name, handle, not attach.role, *modes, *ends, None, None, count, ULong(MAX_MESSAGE)
        )
        if refusal:
            self.send(amqp.DETACH, handle, True, refusal)
            return
        self.links[link.handle] = link
        if not link.sending:
            link.replenish()

    def _detach(self, detach: Detach) -> None:
        if (link := self.links.get(detach.handle)) is not None:
            self.send(amqp.DETACH, UInt(link.handle), True)
            self.drop(link)

    def drop(self, link: Link) -> None:
        """Forget a link; what it held stays locked until the locks run out."""
        link.attached = False
        self.links.pop(link.handle, None)
        self.partials.discard(link)
        if self.replies.get(link.address) is link:
            del self.replies[link.address]
        if link.sending:
            self._unsettled = {number: d for number, d in self._unsettled.items() if d.link is not link}
        self.peer.node.detached(link)

    def close(self) -> None:
        for link in list(self.links.values()):
            self.drop(link)
