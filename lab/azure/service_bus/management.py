"""Requests to `$cbs` and `<queue>/$management`, and their answers (AMQP management, as Service Bus uses it).

It must never fail for what a peer wrote: a request that makes no sense is answered with a status that says so.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from . import performatives as amqp
from .amqp_types import Array, Int, Symbol, Timestamp
from .codec import CodecError
from .errors import Refusal, lock_lost
from .message import APPLICATION, PROPERTIES, VALUE, Message, section
from .node import MAX_MESSAGE
from .queue import Entry, LockLost, Queue, Settlement
from .tokens import PutToken, expires_at

if TYPE_CHECKING:
    from .link import Delivery, Link
    from .service import Service

T = TypeVar("T")
Body = dict[Any, Any]

STATUS_NAMES = {"cbs": ("status-code", "status-description"), "management": ("statusCode", "statusDescription")}
DISPOSITIONS = {
    "completed": Settlement.COMPLETE,
    "abandoned": Settlement.ABANDON,
    "defered": Settlement.DEFER,  # the protocol's own spelling
    "suspended": Settlement.DEAD_LETTER,
}
MAX_AT_ONCE = 1000  # items in one request
RECEIVE_AND_DELETE = 0  # a request's receiver-settle-mode


class Management:
    """Answers requests."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._operations = {
            "renew-lock": self._renew,
            "update-disposition": self._settle,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel,
            "peek-message": self._peek,
            "receive-by-sequence-number": self._receive_deferred,
        }

    def request(self, delivery: Delivery) -> None:
        """Take a request and send its answer on the link that goes with it."""
        link = delivery.link
        reply = link.session.replies.get(link.address)
        if reply is None or not reply.can_send:
            link.detach(amqp.error("amqp:precondition-failed", "Open a link for the answers, with credit, first."))
            return
        try:
            message = Message(bytes(delivery.raw))  # empty if it was too large
        except CodecError as bad:
            delivery.confirm(amqp.state(amqp.REJECTED, amqp.error("amqp:decode-error", str(bad))))
            return
        delivery.confirm(amqp.state(amqp.ACCEPTED))
        reply.send(self._answer(link, message), uuid.uuid4().bytes, settled=True)

    def _answer(self, link: Link, message: Message) -> bytes:
        status, text, body, extra = 200, "OK", None, {}
        try:
            if link.role == "cbs":
                self._put_token(link, message)
                status, text = 202, "Accepted"
            else:
                body = self._operate(self._service.queues[link.queue_name], message)
                status, text = (204, "No Content") if body is None else (200, "OK")
        except Refusal as refusal:
            status, text, extra = refusal.status, str(refusal), {"errorCondition": Symbol(refusal.condition)}
        names = STATUS_NAMES[link.role]
        properties = [uuid.uuid4(), None, None, None, None, message.own_id]
        application = {names[0]: Int(status), names[1]: text, **extra}
        return section(PROPERTIES, properties) + section(APPLICATION, application) + section(VALUE, body or {})

    # -- $cbs ----------------------------------------------------------------------------------------------------
    def _put_token(self, link: Link, message: Message) -> None:
        given = message.application()
        if given.get("operation") != "put-token":
            raise Refusal("amqp:not-implemented", "$cbs knows put-token only.", 501)
        audience, kind = _get(given, "name", str), _get(given, "type", str)
        until = expires_at(given.get("expiration"), message.value())
        self._service.tokens.put(link.session.connection, PutToken(audience, kind, until))

    # -- $management ---------------------------------------------------------------------------------------------
    def _operate(self, queue: Queue[Message], message: Message) -> Body | None:
        name = _get(message.application(), "operation", str).removeprefix("com.microsoft:")
        operation = self._operations.get(name)
        if operation is None:
            raise Refusal("amqp:not-implemented", f"'{name[:80]}' is not in this local Service Bus.", 501)
        body = message.value()
        if not isinstance(body, dict):
            raise _wrong("body")
        try:
            return operation(queue, body)
        except LockLost:
            raise lock_lost() from None

    def _renew(self, queue: Queue[Message], body: Body) -> Body:
        until = [queue.renew(token) for token in _items(body, "lock-tokens", uuid.UUID)]
        return {"expirations": Array([Timestamp(at * 1000) for at in until])}

    def _settle(self, queue: Queue[Message], body: Body) -> Body:
        status = _get(body, "disposition-status", str)
        if status not in DISPOSITIONS:
            raise _wrong("disposition-status")
        texts = [body.get(f"deadletter-{name}") for name in ("reason", "description")]
        reason, description = (text if isinstance(text, str) else None for text in texts)
        for token in _items(body, "lock-tokens", uuid.UUID):
            self._service.settle(queue, token, DISPOSITIONS[status], reason, description)
        return {}

    def _schedule(self, queue: Queue[Message], body: Body) -> Body:
        if queue.dead is None:
            raise Refusal("amqp:not-allowed", "Nothing can be sent to a dead-letter queue.")
        raws = [_get(item, "message", bytes) for item in _items(body, "messages", dict)]
        try:
            messages = [(Message(raw), len(raw)) for raw in raws]
        except CodecError as bad:
            raise Refusal("amqp:decode-error", f"The message is not AMQP 1.0: {bad}") from bad
        numbers = self._service.enqueue(queue, messages)
        self._service.dispatch(queue)
        return {"sequence-numbers": Array(numbers)}

    def _cancel(self, queue: Queue[Message], body: Body) -> Body:
        cancelled = [queue.cancel_scheduled(number) for number in _items(body, "sequence-numbers", int)]
        if not all(cancelled):
            raise Refusal("com.microsoft:message-not-found", "No scheduled message has that number.", 404)
        return {}

    def _peek(self, queue: Queue[Message], body: Body) -> Body | None:
        count = min(_get(body, "message-count", int), MAX_AT_ONCE)
        messages: list[Body] = []
        room = MAX_MESSAGE
        for entry in queue.peek(_get(body, "from-sequence-number", int), max(count, 0)):
            raw = entry.content.encode(entry)
            room -= len(raw)
            if room < 0 and messages:
                break
            messages.append({"message": raw})
        return {"messages": messages} if messages else None

    def _receive_deferred(self, queue: Queue[Message], body: Body) -> Body:
        delete = body.get("receiver-settle-mode") == RECEIVE_AND_DELETE
        numbers = _items(body, "sequence-numbers", int)
        found = [entry for number in numbers if (entry := queue.receive_deferred(number, delete=delete))]
        if not found:
            raise Refusal("com.microsoft:message-not-found", "No deferred message has that number.", 404)
        return {"messages": [_received(entry) for entry in found]}


def _received(entry: Entry[Message]) -> Body:
    return {"message": entry.content.encode(entry), "lock-token": entry.lock_token or uuid.UUID(int=0)}


def _get(body: Body, name: str, kind: type[T]) -> T:
    """A field of a request. Raises Refusal if it is missing or of another type."""
    value = body.get(name)
    if not isinstance(value, kind):
        raise _wrong(name)
    return value


def _items(body: Body, name: str, kind: type[T]) -> list[T]:
    """A list or array in a request, its items checked. Raises Refusal."""
    value = body.get(name)
    items = value.items if isinstance(value, Array) else value
    if not isinstance(items, list) or len(items) > MAX_AT_ONCE or not all(isinstance(item, kind) for item in items):
        raise _wrong(name)
    return items


def _wrong(name: str) -> Refusal:
    return Refusal("amqp:invalid-field", f"The request's '{name}' is missing, too long or of the wrong type.")
