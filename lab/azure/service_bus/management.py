"""Requests to `$cbs` and `<queue>/$management`, and their answers (AMQP management, as Service Bus uses it).

It must never fail for what a peer wrote: a request that makes no sense is answered with a status that says so.
"""

from __future__ import annotations

import uuid
from collections import deque
from typing import Any, TypeVar

from . import performatives as amqp
from .amqp_types import Array, Int, Symbol, Timestamp
from .codec import CodecError
from .errors import Refusal, lock_lost
from .limits import MAX_MESSAGE, MAX_WAITING
from .link import Delivery, Link
from .message import APPLICATION, PROPERTIES, VALUE, Message, section
from .namespace import Namespace, Verdict
from .peer import Peer
from .queue import Entry, LockLost, Queue, Settlement
from .tokens import PutToken, Tokens, expires_at

T = TypeVar("T")
Body = dict[Any, Any]

STATUS_NAMES = {"cbs": ("status-code", "status-description"), "management": ("statusCode", "statusDescription")}
DISPOSITIONS = {
    "completed": Settlement.COMPLETE,
    "abandoned": Settlement.ABANDON,
    "defered": Settlement.DEFER,  # the protocol's own spelling
    "suspended": Settlement.DEAD_LETTER,
}
PROPERTIES_TO_MODIFY, OMIT_BODY = "properties-to-modify", "omit-message-body"
MAX_AT_ONCE = 1000  # items in one request
RECEIVE_AND_DELETE = 0  # a request's receiver-settle-mode


class Management:
    """Answers requests, each as soon as its reply link has credit: older clients ask first and give credit later."""

    def __init__(self, namespace: Namespace, tokens: Tokens) -> None:
        self._namespace, self._tokens = namespace, tokens
        self._waiting: dict[Peer, deque[tuple[Link, Message]]] = {}
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
        waiting = self._waiting.setdefault(link.session.peer, deque())
        if len(waiting) >= MAX_WAITING:
            link.detach(amqp.error("amqp:resource-limit-exceeded", "Give the link for the answers credit first."))
            return
        try:
            message = Message(bytes(delivery.raw))  # empty if it was too large
        except CodecError as bad:
            delivery.confirm(amqp.state(amqp.REJECTED, amqp.error("amqp:decode-error", str(bad))))
            return
        delivery.confirm(amqp.state(amqp.ACCEPTED))
        waiting.append((link, message))
        self.answer(link.session.peer)

    def answer(self, peer: Peer) -> None:
        """Answer what of a peer's requests can be answered now, in their order."""
        waiting = self._waiting.get(peer, deque())
        for _ in range(len(waiting)):
            link, message = waiting.popleft()
            reply = link.session.replies.get(link.address)
            if reply is not None and reply.can_send:
                reply.send(self._answer(link, message), uuid.uuid4().bytes, settled=True)
            elif link.attached:
                waiting.append((link, message))

    def forget(self, peer: Peer) -> None:
        """The connection is gone."""
        self._waiting.pop(peer, None)

    def _answer(self, link: Link, message: Message) -> bytes:
        status, text, body, extra = 200, "OK", None, {}
        try:
            if link.role == "cbs":
                self._put_token(link, message)
                status, text = 202, "Accepted"
            else:
                body = self._operate(self._namespace.queues[link.queue_name], message)
                status, text = (204, "No Content") if body is None else (200, "OK")
        except Refusal as refusal:
            status, text, extra = refusal.status, str(refusal), {"errorCondition": Symbol(refusal.condition)}
        names = STATUS_NAMES[link.role]
        properties = [uuid.uuid4(), None, None, None, None, message.own_id]
        application = {names[0]: Int(status), names[1]: text, **extra}
        return section(PROPERTIES, properties) + section(APPLICATION, application) + section(VALUE, body or {})

    # --- $cbs ---------------------------------------------------------------------------------------------------------
    def _put_token(self, link: Link, message: Message) -> None:
        given = message.application()
        if given.get("operation") != "put-token":
            raise Refusal("amqp:not-implemented", "$cbs knows put-token only.", 501)
        audience, kind = _get(given, "name", str), _get(given, "type", str)
        until = expires_at(given.get("expiration"), message.value())
        self._tokens.put(link.session.peer, PutToken(audience, kind, until))

    # --- $management --------------------------------------------------------------------------------------------------
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
        properties = {str(name): value for name, value in (_get(body, PROPERTIES_TO_MODIFY, dict, {})).items()}
        verdict = Verdict(DISPOSITIONS[status], reason, description, properties)
        for token in _items(body, "lock-tokens", uuid.UUID):
            self._namespace.settle(queue, token, verdict)
        return {}

    def _schedule(self, queue: Queue[Message], body: Body) -> Body:
        if queue.dead is None:
            raise Refusal("amqp:not-allowed", "Nothing can be sent to a dead-letter queue.")
        raws = [_get(item, "message", bytes) for item in _items(body, "messages", dict)]
        try:
            messages = [(Message(raw), len(raw)) for raw in raws]
        except CodecError as bad:
            raise Refusal("amqp:decode-error", f"The message is not AMQP 1.0: {bad}") from bad
        numbers = self._namespace.enqueue(queue, messages)
        self._namespace.dispatch(queue)
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
            raw = entry.content.encode(entry, with_body=not body.get(OMIT_BODY))
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
    token = entry.lock_token or uuid.UUID(int=0)
    return {"message": entry.content.encode(entry, lock_token=token), "lock-token": token}


def _get(body: Body, name: str, kind: type[T], default: T | None = None) -> T:
    """A field of a request. Raises Refusal if it is missing and has no default, or is of another type."""
    value = default if body.get(name) is None else body[name]
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
