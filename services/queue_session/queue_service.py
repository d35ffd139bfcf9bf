"""The Service Bus session of one process: one sender, owned by one task, shared by every caller.

An aio sender used by several tasks loses and repeats messages (measured, SDK 7.15, from four tasks up), and a sender
per call costs a second each. So callers queue up here, and the owner sends everything that waits as one batch. No
message is repeated under another MessageId, and none is sent after its caller was told that it was not.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .backoff import Backoff
from .connection import SDK_ERRORS, TRY_S, QueueSender, end, raise_if_asked_to_end, within
from .errors import MessageNotSent, MessageOutcomeUnknown, QueueNotConfigured, QueueUnavailable
from .notices import Notices

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch

log = logging.getLogger(__name__)

MAX_WAITING = 1000  # messages; past it a send fails at once
MAX_ATTEMPTS = 3  # of one message, always with the same MessageId
BATCH_MOST = 500  # messages: less time is lost when a batch has to be repeated
SPARE_S = 0.5  # the SDK's own deadline is not kept while it renews a token: ours comes this much later


class _State(enum.Enum):
    """What is known of a message that has no answer yet."""

    UNSENT = enum.auto()  # never sent, or refused each time
    FIRST_SEND = enum.auto()  # in a batch on its way, UNSENT before
    MAYBE_STORED = enum.auto()  # a confirmation did not come
    REPEATED = enum.auto()  # in a batch on its way, MAYBE_STORED before

    def sent(self) -> _State:
        """After it has left in a batch."""
        return _State.FIRST_SEND if self is _State.UNSENT else _State.REPEATED

    def refused(self) -> _State:
        """After Service Bus has said that it did not store that batch."""
        return _State.UNSENT if self is _State.FIRST_SEND else _State.MAYBE_STORED


@dataclass(eq=False)
class _Waiting:
    """A message on its way, and the caller who waits for its confirmation."""

    message_id: str
    body: bytes
    properties: Mapping[str, str]
    confirmed: asyncio.Future[None]
    state: _State = _State.UNSENT
    attempts: int = 0
    batch_most: int = BATCH_MOST  # messages in a batch with it: half of the last one that was refused for its size
    context: contextvars.Context = field(default_factory=contextvars.copy_context)  # its caller's

    def failure(self, reason: str) -> MessageNotSent | MessageOutcomeUnknown:
        if self.state is not _State.UNSENT:
            return MessageOutcomeUnknown(f"no confirmation from Service Bus: {reason}")
        return MessageNotSent(f"not sent to Service Bus: {reason}")

    def halve(self, batch: int) -> None:
        """A batch of this many was refused for its size: nothing is known of this message yet."""
        self.batch_most, self.attempts = batch // 2, self.attempts - 1

    def fail(self, error: QueueUnavailable) -> None:
        if not self.confirmed.done():
            self.confirmed.set_exception(error)

    def to_sdk(self) -> ServiceBusMessage:
        from azure.servicebus import ServiceBusMessage

        return ServiceBusMessage(
            self.body,
            message_id=self.message_id,
            content_type="application/json",
            application_properties={name: value for name, value in self.properties.items()},  # noqa: C416 - its own dict type
        )


@dataclass
class QueueCounters:
    """What the session has done since the process started."""

    opened: int = 0
    batches: int = 0
    sent: int = 0
    failures: int = 0


Headers: TypeAlias = Mapping[str, str]


def _as_they_are(queue_name: str, message_id: str, properties: Headers) -> AbstractContextManager[Headers]:
    return nullcontext(properties)


@dataclass
class QueueHooks:
    """`sending` is entered around each send; it gives the application properties that the message is sent with."""

    sending: Callable[[str, str, Headers], AbstractContextManager[Headers]] = _as_they_are


class SenderSource(Protocol):
    """Where senders come from: a ServiceBusConnection, or its replacement in a simulation."""

    async def new_sender(self, queue_name: str) -> QueueSender:
        """A sender for one queue, not yet connected. Raises QueueNotConfigured."""


class QueueService:
    """Sends to one queue. Built without I/O; opens on first use, on the event loop that runs then.

    Args:
        queue_name: None makes every send raise QueueNotConfigured.
        randomness: for the jitter between attempts.
    """

    def __init__(
        self,
        connection: SenderSource,
        queue_name: str | None,
        *,
        hooks: QueueHooks | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self.connection, self.queue_name, self.counters = connection, queue_name, QueueCounters()
        self.hooks, self._randomness, self._notices = hooks or QueueHooks(), randomness, Notices()
        self._owner: _Owner | None = None

    async def send(
        self, message_id: str, body: bytes, *, within_s: float, properties: Mapping[str, str] | None = None
    ) -> None:
        """Put one message on the queue and wait, at most `within_s` seconds, until Service Bus has confirmed it.

        Args:
            message_id: duplicate detection knows a repeated send by it.
            properties: application properties, e.g. the trace context.

        Raises:
            MessageNotSent: it is not on the queue. MessageOutcomeUnknown: it may be; repeat with the same id.
            QueueNotConfigured: no usable connection or queue name.
        """
        try:
            with self.hooks.sending(self.queue_name or "", message_id, properties or {}) as stamped:
                await self._send(message_id, body, within_s, stamped)
        except QueueUnavailable:
            self.counters.failures += 1
            await asyncio.sleep(0)  # perhaps nothing was awaited, and a caller in a tight loop must let the owner send
            raise
        finally:
            self._notices.say(log)

    def prepare(self) -> None:
        """Begin to open the sender, if nothing has yet, so that the first send need not wait for it. Never raises.

        Opening takes nine steps, and an import the first time (SDK 7.15). If it fails, the first send tries again.
        """
        with suppress(QueueNotConfigured):
            self._owner_here()
        self._notices.say(log)

    @property
    def waiting(self) -> int:
        """Messages not confirmed yet, those of callers who have given up included."""
        return 0 if self._owner is None else self._owner.waiting

    async def aclose(self) -> None:
        """End the owner task, fail who waits and close the sender; a later send opens it again.

        Correctness does not need it.
        """
        owner, self._owner = self._owner, None
        if owner is not None and owner.loop is asyncio.get_running_loop():
            await owner.aclose()

    async def _send(self, message_id: str, body: bytes, within_s: float, properties: Mapping[str, str]) -> None:
        owner = self._owner_here()
        waiting = _Waiting(message_id, body, properties, owner.loop.create_future())
        waiting.confirmed.add_done_callback(lambda done: done.cancelled() or done.exception())  # its caller may be gone
        owner.add(waiting)
        try:
            async with asyncio.timeout(max(within_s, 0)):
                await waiting.confirmed
        except TimeoutError:
            if not waiting.confirmed.cancelled():
                return waiting.confirmed.result()  # it was decided in the same instant
            raise waiting.failure(f"deadline of {within_s:.1f} s, {owner.last_error}") from None

    def _owner_here(self) -> _Owner:
        """This event loop's owner. One that belongs to another loop is dropped without being touched."""
        if self.queue_name is None:
            raise QueueNotConfigured("the queue name is missing or unusable")
        owner = self._owner
        if owner is not None and owner.loop is not asyncio.get_running_loop():
            owner = None
        if owner is None or owner.dead:
            left_open = owner.take_sender() if owner is not None else None
            backoff = Backoff(randomness=self._randomness)
            self._owner = owner = _Owner(
                self.connection, self.queue_name, self.counters, self._notices, backoff, left_open
            )
        return owner


class _Owner:
    """What belongs to one event loop: the messages that wait, and the one task that touches the SDK."""

    def __init__(
        self,
        connection: SenderSource,
        queue_name: str,
        counters: QueueCounters,
        notices: Notices,
        backoff: Backoff,
        left_open: QueueSender | None,
    ) -> None:
        self._connection, self._queue_name, self._counters = connection, queue_name, counters
        self._notices = notices
        self.loop = asyncio.get_running_loop()
        self.last_error = "no answer yet"
        self._waiting: deque[_Waiting] = deque()
        self._taken: list[_Waiting] = []
        self._sender = left_open  # by an owner that is dead: closed first
        self._arrived, self._backoff = asyncio.Event(), backoff
        self._task = self.loop.create_task(
            self._run(),
            name="queue sender",
            context=contextvars.Context(),  # its first caller's trace is not everybody's
        )

        self._task.add_done_callback(self._ended)

    @property
    def dead(self) -> bool:
        """Somebody has cancelled the task, or it failed: nothing added here would ever be sent."""
        return self._task.done()

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._taken)

    def add(self, waiting: _Waiting) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting = deque(w for w in self._waiting if not w.confirmed.done())
        if len(self._waiting) >= MAX_WAITING:
            raise MessageNotSent(f"{MAX_WAITING} messages are waiting already")
        self._waiting.append(waiting)
        self._arrived.set()

    async def aclose(self) -> None:
        self._fail_all("the session was closed")
        await end(self._task)
        await self._close()

    async def _run(self) -> None:
        await self._close()
        if not self._waiting:
            await self._open_ahead()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._any_live():
                if not await self._send_what_waits():
                    await asyncio.sleep(self._backoff.next_wait_s())

    def _any_live(self) -> bool:
        """Forget the callers that have given up; true if the first one left still waits."""
        while self._waiting and self._waiting[0].confirmed.done():
            self._waiting.popleft()
        return bool(self._waiting)

    async def _send_what_waits(self) -> bool:
        """Send one batch; false if the next attempt should wait a little."""
        try:
            sender = (await self._open()).sdk
            batch = await sender.create_message_batch()
        except SDK_ERRORS as error:
            raise_if_asked_to_end(error)
            await self._open_failed(error)
            return False
        self._fill(batch)
        if not self._taken:
            return True
        try:
            await within(TRY_S + SPARE_S, sender.send_messages(batch, timeout=TRY_S))
        except SDK_ERRORS as error:
            raise_if_asked_to_end(error)
            return await self._send_failed(error)
        self._confirm()
        return True

    async def _open(self) -> QueueSender:
        if self._sender is None:
            self._sender = await self._connection.new_sender(self._queue_name)
            await within(
                TRY_S + SPARE_S, self._sender.sdk.create_message_batch()
            )  # opens the link and learns its size limit
            self._counters.opened += 1
        return self._sender

    async def _open_ahead(self) -> None:
        try:
            await self._open()
        except SDK_ERRORS as error:
            raise_if_asked_to_end(error)
            await self._open_failed(error)

    async def _open_failed(self, error: BaseException) -> None:
        """Nothing was sent. Permanent errors fail immediately; others are retried while callers wait."""
        self._note(error, "opening")
        await self._close()
        if isinstance(error, QueueNotConfigured):
            self._fail_waiting(lambda _: QueueNotConfigured(str(error)))
        elif _is_final(error):
            self._fail_waiting(lambda waiting: waiting.failure(self.last_error))

    def _fill(self, batch: ServiceBusMessageBatch) -> None:
        """Take what fits from those who still wait, in their order. A message that cannot be sent fails alone."""
        from azure.servicebus.exceptions import MessageSizeExceededError

        most = BATCH_MOST
        while self._any_live():
            waiting = self._waiting[0]
            most = min(most, waiting.batch_most)
            if len(self._taken) >= most:
                return
            try:
                waiting.context.run(batch.add_message, waiting.to_sdk())  # the SDK may stamp its caller's trace on it
            except MessageSizeExceededError:
                if self._taken:
                    return  # the batch is full, this one goes with the next
                waiting.fail(waiting.failure("the message is too large for the queue"))
            except Exception as error:  # noqa: BLE001 - whatever the SDK finds wrong with it, its neighbours are sent
                waiting.fail(waiting.failure(f"the message cannot be encoded: {type(error).__name__}"))
            else:
                waiting.state, waiting.attempts = waiting.state.sent(), waiting.attempts + 1
                self._taken.append(waiting)
            self._waiting.popleft()

    def _confirm(self) -> None:
        self._backoff.reset()
        self._notices.good(self.loop.time())
        self._counters.batches += 1
        self._counters.sent += len(self._taken)
        for waiting in self._taken:
            if not waiting.confirmed.done():
                waiting.confirmed.set_result(None)
        self._taken = []

    async def _send_failed(self, error: BaseException) -> bool:
        """Keep what may be repeated in its old order, fail the rest, and drop a link that is of no more use.

        True if it was refused for its size alone: the halves need not wait.
        """
        from azure.servicebus.exceptions import MessageSizeExceededError

        self._note(error, "sending")
        taken, self._taken = self._taken, []
        refused, too_large = _is_refusal(error), isinstance(error, MessageSizeExceededError)
        for waiting in reversed(taken):
            if too_large and len(taken) > 1:
                waiting.halve(len(taken))
            waiting.state = waiting.state.refused() if refused else _State.MAYBE_STORED
            if waiting.attempts >= MAX_ATTEMPTS or (too_large and len(taken) == 1):
                waiting.fail(waiting.failure(self.last_error))
            elif not waiting.confirmed.done():
                self._waiting.appendleft(waiting)
        if not refused:
            await self._close()
        return too_large

    def _note(self, error: BaseException, doing: str) -> None:
        self.last_error = type(error).__name__  # not its text, which may quote what was sent
        self._notices.failed(self.loop.time(), f"{self.last_error} while {doing}")

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._notices.failed(self.loop.time(), f"{type(error).__name__} ended the task that sends")
        self._fail_all("the task that sends has ended")

    def _fail_all(self, reason: str) -> None:
        self._waiting.extendleft(reversed(self._taken))
        self._taken = []
        self._fail_waiting(lambda waiting: waiting.failure(reason))

    def _fail_waiting(self, reason: Callable[[_Waiting], QueueUnavailable]) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            waiting.fail(reason(waiting))

    def take_sender(self) -> QueueSender | None:
        """Hand over what is open: the caller closes it."""
        sender, self._sender = self._sender, None
        return sender

    async def _close(self) -> None:
        if (sender := self.take_sender()) is not None:
            await sender.close()


def _is_refusal(error: BaseException) -> bool:
    """Service Bus answered that it did not store the batch; the link is as good as before."""
    from azure.servicebus import exceptions as sdk

    return isinstance(
        error, sdk.ServiceBusServerBusyError | sdk.ServiceBusQuotaExceededError | sdk.MessageSizeExceededError
    )


def _is_final(error: BaseException) -> bool:
    """Service Bus refuses for good: no such queue, a disabled queue, or no right to send."""
    from azure.servicebus import exceptions as sdk

    finals = (sdk.MessagingEntityNotFoundError, sdk.MessagingEntityDisabledError, sdk.ServiceBusAuthorizationError)
    return isinstance(error, finals)
