"""Receives messages for one function with the real SDK, as the host's Service Bus trigger does.

Peek-lock, at most maxConcurrentCalls at once, locks renewed while a call runs, completed when the function returns,
abandoned when it raises (or runs over functionTimeout, where the real host restarts its worker). One connection, and
one task that makes every call on it: the SDK's receiver is not safe to share. Must never settle a message over another
connection than the one it came by, where its delivery id may be somebody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.servicebus.exceptions import MessageAlreadySettled, MessageLockLostError

from lab.azure.functions_host.function import ServiceBusFunction
from lab.azure.functions_host.host_json import ServiceBusOptions
from lab.azure.functions_host.invocation import Invoker
from lab.azure.functions_host.sdk_types import keep_types
from lab.azure.functions_host.service_bus_message import (
    BodyNotText,
    application_properties,
    body_datum,
    trigger_metadata,
)
from lab.azure.functions_host.worker.context import trace_context

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

log = logging.getLogger("host")

IDLE_WAIT_S = 0.5  # one receive while nothing runs, and how late a stop is noticed
BUSY_WAIT_S = 0.2  # one receive while calls run; also how late a finished one is settled if no message comes
QUIET_S = 0.02  # per message; a receive that took longer found the queue empty
GRACE_S = 0.05  # with nothing else running, new calls get this long first: a lone message is settled at once
SETTLE_S = 10.0  # the SDK alone would wait 60
OPEN_S = 15.0
CLOSE_S = 5.0
BACKOFF_S = (0.1, 5.0)  # full jitter between attempts to reopen: first and longest
EMPTY_AT_ONCE = 5  # receives in a row that end at once with nothing: the SDK's link is gone without an error


class ReceiverGone(ConnectionError):
    """The receiver answers at once with nothing: its link is gone and only a new one helps."""


@dataclass
class Call:
    """A message being handled. Times by `time.monotonic()`; `renew_at` infinite: its lock is not renewed any more."""

    message: ServiceBusReceivedMessage
    receiver: ServiceBusReceiver
    task: asyncio.Task[Any]
    renew_every_s: float
    renew_at: float
    renew_until: float


class ServiceBusTrigger:
    """Feeds `function` from its queue or subscription. `start` returns at once, `stop` when everything is finished."""

    def __init__(self, function: ServiceBusFunction, invoker: Invoker, options: ServiceBusOptions) -> None:
        self.function = function
        self._invoker = invoker
        self._options = options
        self._calls: dict[asyncio.Task[Any], Call] = {}
        self._finished = asyncio.Event()
        self._stopping = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._failures = 0
        self._empty_at_once = 0
        self._batch = 1

    def start(self) -> None:
        """Begin to receive, on the running loop."""
        keep_types()
        self._owner = asyncio.create_task(self._own(), name=f"trigger {self.function.name}")

    async def stop(self, deadline_s: float) -> None:
        """Take no further message, finish and settle the running calls within `deadline_s` seconds, close."""
        self._stopping.set()
        self._finished.set()
        if self._owner is None:
            return
        done, _ = await asyncio.wait([self._owner], timeout=deadline_s)
        if not done:
            log.warning("%d calls of %s did not finish in time", len(self._calls), self.function.name)
            self._owner.cancel()
            await asyncio.gather(self._owner, return_exceptions=True)

    async def _own(self) -> None:
        while not self._stopping.is_set():
            try:
                async with self._receiver() as receiver:
                    await self._serve(receiver)
            except Exception as error:  # noqa: BLE001 - a lost connection surfaces as any kind of error in the SDK
                await self._back_off(error)
        if self._calls:
            await asyncio.wait(self._calls)

    @contextlib.asynccontextmanager
    async def _receiver(self) -> AsyncIterator[ServiceBusReceiver]:
        client = self.function.connection.client()
        receiver = self._make_receiver(client)
        try:
            async with asyncio.timeout(OPEN_S):
                await receiver.__aenter__()  # opened by a receive, it would have only that receive's short time
            yield receiver
        finally:
            with contextlib.suppress(Exception):  # closing a broken connection may fail, and need not succeed
                async with asyncio.timeout(CLOSE_S):
                    await receiver.close()
                    await client.close()

    def _make_receiver(self, client: ServiceBusClient) -> ServiceBusReceiver:
        prefetch = self._options.prefetch_count
        if self.function.queue:
            return client.get_queue_receiver(self.function.queue, prefetch_count=prefetch)
        topic, subscription = self.function.topic, self.function.subscription
        return client.get_subscription_receiver(topic, subscription, prefetch_count=prefetch)

    async def _serve(self, receiver: ServiceBusReceiver) -> None:
        while self._calls or not self._stopping.is_set():
            await self._settle_finished(receiver)
            await self._renew_locks(receiver)
            if self._stopping.is_set() or len(self._calls) >= self._options.max_concurrent_calls:
                await self._wait_for_a_call()
            else:
                await self._receive(receiver)

    async def _receive(self, receiver: ServiceBusReceiver) -> None:
        wait_s = BUSY_WAIT_S if self._calls else IDLE_WAIT_S
        wanted = min(self._batch, self._options.max_concurrent_calls - len(self._calls))
        started = time.monotonic()
        messages = await receiver.receive_messages(max_message_count=wanted, max_wait_time=wait_s)
        took_s = time.monotonic() - started
        self._note_success(found=bool(messages), at_once=took_s < wait_s / 2)
        for message in messages:
            self._begin(receiver, message)
        # Asked for several, the SDK holds the first back for 0.2 s to wait for the rest: only where messages flow.
        flowing = len(messages) == wanted and took_s < QUIET_S * wanted
        self._batch = min(wanted * 2, self._options.max_concurrent_calls) if flowing else 1
        if messages and len(self._calls) == len(messages):
            await asyncio.wait(self._calls, timeout=GRACE_S, return_when=asyncio.FIRST_COMPLETED)

    def _note_success(self, *, found: bool, at_once: bool) -> None:
        if self._failures:
            log.info("Receiving from '%s' again", self.function.entity)
        self._failures = 0
        self._empty_at_once = 0 if found or not at_once else self._empty_at_once + 1
        if self._empty_at_once >= EMPTY_AT_ONCE:
            self._empty_at_once = 0
            raise ReceiverGone("the receiver's link ended")

    def _begin(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        task = asyncio.create_task(self._invoke(message))
        task.add_done_callback(lambda _: self._finished.set())
        now = time.monotonic()
        locked_until = message.locked_until_utc
        lock_s = max(1.0, locked_until.timestamp() - time.time()) if locked_until else float("inf")
        self._calls[task] = Call(
            message=message,
            receiver=receiver,
            task=task,
            renew_every_s=lock_s / 2,
            renew_at=now + lock_s / 2,
            renew_until=now + self._options.max_auto_lock_renewal_s,
        )

    async def _invoke(self, message: ServiceBusReceivedMessage) -> None:
        properties = application_properties(message)
        trace = trace_context(properties.get("Diagnostic-Id") or properties.get("traceparent"))
        delivery = (message.delivery_count or 0) + 1
        reason = f"New message in '{self.function.entity}': MessageId {message.message_id}, delivery {delivery}"
        try:
            body, metadata = body_datum(message), trigger_metadata(message)
        except BodyNotText as error:
            log.error("Functions.%s cannot get it: %s", self.function.name, error)  # noqa: TRY400 - it says it all
            raise
        await self._invoker.invoke(self.function, body, reason=reason, trace=trace, metadata=metadata)

    async def _wait_for_a_call(self) -> None:
        next_renewal = min((call.renew_at for call in self._calls.values()), default=0.0)
        self._finished.clear()
        if any(task.done() for task in self._calls):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(IDLE_WAIT_S, max(0.0, next_renewal - time.monotonic()))):
                await self._finished.wait()

    async def _settle_finished(self, receiver: ServiceBusReceiver) -> None:
        for call in [call for task, call in self._calls.items() if task.done()]:
            del self._calls[call.task]  # first: whatever happens now, nothing is settled twice
            if call.receiver is receiver:
                await self._settle(receiver, call)
            else:
                self._log_lost(call, "its connection was lost meanwhile")

    async def _settle(self, receiver: ServiceBusReceiver, call: Call) -> None:
        failed = call.task.cancelled() or call.task.exception() is not None
        if not failed and not self._options.auto_complete:
            return
        settle = receiver.abandon_message if failed else receiver.complete_message
        try:
            async with asyncio.timeout(SETTLE_S):
                await settle(call.message)
        except (MessageLockLostError, MessageAlreadySettled) as error:
            self._log_lost(call, type(error).__name__)

    async def _renew_locks(self, receiver: ServiceBusReceiver) -> None:
        now = time.monotonic()
        for call in list(self._calls.values()):
            if call.renew_at > now or call.receiver is not receiver:
                continue
            call.renew_at = now + call.renew_every_s
            if now > call.renew_until:
                call.renew_at = float("inf")
                continue
            try:
                await receiver.renew_message_lock(call.message, timeout=SETTLE_S)
            except MessageLockLostError as error:
                call.renew_at = float("inf")
                self._log_lost(call, type(error).__name__)

    def _log_lost(self, call: Call, reason: str) -> None:
        log.warning("Message %s cannot be settled (%s): it will be delivered again", call.message.message_id, reason)

    async def _back_off(self, error: Exception) -> None:
        if not self._failures:
            log.warning("Receiving from '%s' failed, trying again: %s", self.function.entity, describe(error))
        self._failures += 1
        first_s, longest_s = BACKOFF_S
        limit_s = min(longest_s, first_s * 2 ** min(self._failures, 16))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, limit_s)):  # noqa: S311 - jitter
                await self._stopping.wait()


def describe(error: Exception) -> str:
    lines: Iterable[str] = str(error).splitlines()
    return f"{type(error).__name__}: {next(iter(lines), '')}"
