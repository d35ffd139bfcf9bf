"""The Service Bus session of one worker process: one sender, owned by one task, shared by every caller.

An aio sender used by several tasks loses and repeats messages (measured, SDK 7.15, from four tasks up), and a sender
per call costs a second each. So callers queue up here, and the owner sends everything that waits as one batch.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.backoff import Backoff
from services.errors import BadSetting, MessageNotSent, MessageOutcomeUnknown, QueueUnavailable
from services.service_bus_connection import TRY_S, ServiceBusConnection

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessageBatch
    from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

log = logging.getLogger(__name__)

MAX_WAITING = 1000  # messages; past it a send fails at once
MAX_ATTEMPTS = 3  # of one message, always with the same MessageId
OPEN_S = 5.0
CLOSE_S = 1.0
BATCH_MOST = 500  # messages: a smaller loss of time when a batch has to be repeated


@dataclass(eq=False)
class _Waiting:
    """A message on its way, and the caller who waits for its confirmation."""

    message_id: str
    body: bytes
    properties: Mapping[str, str]
    confirmed: asyncio.Future[None]
    attempts: int = 0
    sending: bool = False
    maybe_stored: bool = False

    def failure(self, reason: str) -> QueueUnavailable:
        if self.sending or self.maybe_stored:
            return MessageOutcomeUnknown(f"no confirmation from Service Bus: {reason}")
        return MessageNotSent(f"not sent to Service Bus: {reason}")


@dataclass
class QueueCounters:
    """What the session has done since the process started."""

    opened: int = 0
    batches: int = 0
    sent: int = 0
    failures: int = 0


class OrderQueue:
    """Sends to one queue. Built without I/O; opens on first use, on the event loop that runs then."""

    def __init__(self, connection: ServiceBusConnection, queue_name: str | None) -> None:
        self.connection, self.queue_name, self.counters = connection, queue_name, QueueCounters()
        self._start_afresh(None)

    def _start_afresh(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._owner: asyncio.Task[None] | None = None
        self._client: ServiceBusClient | None = None
        self._sender: ServiceBusSender | None = None
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._last_error = "no answer yet"
        self._backoff = Backoff()

    async def send(
        self, message_id: str, body: bytes, *, within_s: float, properties: Mapping[str, str] | None = None
    ) -> None:
        """Put one message on the queue and wait, at most `within_s` seconds, until Service Bus has confirmed it.

        Args:
            message_id: duplicate detection knows a repeated send by it.
            properties: application properties, e.g. the trace context.

        Raises:
            MessageNotSent: it is not on the queue. MessageOutcomeUnknown: it may be; repeat with the same id.
            BadSetting: no usable connection or queue name.
        """
        self._guard_loop()
        if self.queue_name is None:
            raise BadSetting("ORDERS_QUEUE is missing or unusable")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(message_id, body, properties or {}, loop.create_future())
        self._enqueue(waiting)
        try:
            async with asyncio.timeout(max(within_s, 0)) as deadline:
                await waiting.confirmed
        except TimeoutError:
            if not deadline.expired():
                raise
            self.counters.failures += 1
            raise waiting.failure(f"deadline of {within_s:.1f} s, {self._last_error}") from None

    async def aclose(self) -> None:
        """End the owner task and close the sender; a later send opens it again. Never needed for correctness."""
        self._guard_loop()
        if self._owner is not None:
            self._owner.cancel()
            await asyncio.gather(self._owner, return_exceptions=True)
            self._owner = None
        await self._close()

    def _enqueue(self, waiting: _Waiting) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting = deque(w for w in self._waiting if not w.confirmed.done())
        if len(self._waiting) >= MAX_WAITING:
            self.counters.failures += 1
            raise MessageNotSent(f"{MAX_WAITING} messages are waiting already")
        self._waiting.append(waiting)
        self._arrived.set()
        if self._owner is None or self._owner.done():
            self._owner = asyncio.get_running_loop().create_task(self._own(), name="order queue")

    # -- the owner: the only task that touches the SDK ---------------------------------------------------------------
    async def _own(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._take_live():
                if not await self._send_what_waits():
                    await asyncio.sleep(self._backoff.next_wait_s())

    def _take_live(self) -> bool:
        """Forget the callers that have given up; true if any is left."""
        while self._waiting and self._waiting[0].confirmed.done():
            self._waiting.popleft()
        return bool(self._waiting)

    async def _send_what_waits(self) -> bool:
        """Send one batch; false if the next attempt should wait a little."""
        try:
            sender = await self._open_sender()
            batch, taken = await self._fill_batch(sender)
        except BadSetting as error:
            self._fail_all(error)
            return True
        except Exception as error:  # noqa: BLE001 - the SDK raises AMQP, socket, TLS and credential errors of many roots
            await self._failed(error, [])
            return False
        if not taken:
            return True
        try:
            async with asyncio.timeout(TRY_S + 0.5):
                await sender.send_messages(batch, timeout=TRY_S)
        except Exception as error:  # noqa: BLE001 - as above
            await self._failed(error, taken)
            return False
        self._confirm(taken)
        return True

    async def _open_sender(self) -> "ServiceBusSender":
        if self._sender is None:
            async with asyncio.timeout(OPEN_S):
                self._client = await self.connection.new_client()
                sender = self._client.get_queue_sender(str(self.queue_name))
                await sender.create_message_batch()  # opens the link and learns its size limit
            self._sender = sender
            self.counters.opened += 1
        return self._sender

    async def _fill_batch(self, sender: "ServiceBusSender") -> "tuple[ServiceBusMessageBatch, list[_Waiting]]":
        from azure.servicebus import ServiceBusMessage
        from azure.servicebus.exceptions import MessageSizeExceededError

        async with asyncio.timeout(OPEN_S):
            batch = await sender.create_message_batch()
        taken: list[_Waiting] = []
        while self._take_live() and len(taken) < BATCH_MOST:
            waiting = self._waiting[0]
            message = ServiceBusMessage(
                waiting.body,
                message_id=waiting.message_id,
                content_type="application/json",
                application_properties={name: value for name, value in waiting.properties.items()},  # noqa: C416 - its own dict type
            )
            try:
                batch.add_message(message)
            except MessageSizeExceededError:
                if taken:
                    break  # the batch is full, this one goes with the next
                waiting.confirmed.set_exception(MessageNotSent("the message is too large for the queue"))
            else:
                waiting.sending, waiting.attempts = True, waiting.attempts + 1
                taken.append(waiting)
            self._waiting.popleft()
        return batch, taken

    def _confirm(self, taken: list[_Waiting]) -> None:
        self._backoff.reset()
        self.counters.batches += 1
        self.counters.sent += len(taken)
        for waiting in taken:
            if not waiting.confirmed.done():
                waiting.confirmed.set_result(None)

    async def _failed(self, error: Exception, taken: list[_Waiting]) -> None:
        """Keep what may be repeated in its old order, fail the rest, and drop a link that is of no more use."""
        self._last_error = type(error).__name__
        refused, keep_link = _refusal(error)
        log.warning("Service Bus session: %s while %s", self._last_error, "sending" if taken else "opening")
        for waiting in reversed(taken):
            waiting.sending = False
            waiting.maybe_stored |= not refused
            if waiting.confirmed.done():
                continue
            if waiting.attempts < MAX_ATTEMPTS:
                self._waiting.appendleft(waiting)
            else:
                self.counters.failures += 1
                waiting.confirmed.set_exception(waiting.failure(self._last_error))
        if not keep_link:
            await self._close()

    def _fail_all(self, error: BadSetting) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.confirmed.done():
                waiting.confirmed.set_exception(BadSetting(str(error)))

    async def _close(self) -> None:
        client, self._client, self._sender = self._client, None, None
        if client is None:
            return
        try:
            async with asyncio.timeout(CLOSE_S):
                await client.close()
        except Exception as error:  # noqa: BLE001 - it is broken already; the kernel closes the socket
            log.debug("closing the Service Bus client: %s", type(error).__name__)

    def _guard_loop(self) -> None:
        """On another event loop than before, drop what belongs to the old one without touching it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._start_afresh(loop)


def _refusal(error: Exception) -> tuple[bool, bool]:
    """(Service Bus certainly did not store it, the link is still good)."""
    from azure.servicebus import exceptions as sdk

    if isinstance(error, sdk.ServiceBusServerBusyError | sdk.ServiceBusQuotaExceededError):
        return True, True
    refusals = (
        sdk.MessageSizeExceededError,
        sdk.MessagingEntityNotFoundError,
        sdk.MessagingEntityDisabledError,
        sdk.ServiceBusAuthenticationError,
        sdk.ServiceBusAuthorizationError,
    )
    return isinstance(error, refusals), False
