"""Every operation on a queue, once, with whatever azure-servicebus is installed: 7.11 to the newest, sync or aio.

    python operations.py CONNECTION_STRING QUEUE sync|aio

Prints a JSON line per operation, {"operation": ..., "error": null or text}. It runs in environments that hold nothing
but that SDK, so it must never import anything else. SSL_CERT_FILE names the certificate of a server that speaks TLS.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from azure.servicebus import AutoLockRenewer, ServiceBusClient, ServiceBusMessage
from azure.servicebus.aio import AutoLockRenewer as AioAutoLockRenewer
from azure.servicebus.aio import ServiceBusClient as AioServiceBusClient
from azure.servicebus.exceptions import MessageSizeExceededError, MessagingEntityNotFoundError, ServiceBusError

WAIT_S = 5  # for a message that is there
QUIET_S = 1.5  # for one that is not; the SDK counts the time in which it opens its link
OPERATION_S = 60.0
SETTLED: dict[str, Any] = {"max_message_count": 1, "max_wait_time": WAIT_S}


class Sync:
    """The sync client's object with awaitable methods."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            return await asyncio.to_thread(getattr(self._inner, name), *args, **options)

        return call

    async def __aenter__(self) -> Sync:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._inner.close)


class Bench:
    """A client, a queue and the shortest words for what is done with them."""

    def __init__(self, connection_string: str, queue: str, kind: str) -> None:
        self.queue, self.kind = queue, kind
        make: Any = AioServiceBusClient if kind == "aio" else ServiceBusClient
        options = {"connection_verify": os.environ.get("SSL_CERT_FILE"), "retry_total": 1}
        self.client = make.from_connection_string(connection_string, **options)

    def sender(self, queue: str = "") -> Any:
        return self._face(self.client.get_queue_sender(queue or self.queue))

    def receiver(self, **options: Any) -> Any:
        return self._face(self.client.get_queue_receiver(self.queue, **options))

    def _face(self, inner: Any) -> Any:
        return inner if self.kind == "aio" else Sync(inner)

    async def close(self) -> None:
        closing = self.client.close()
        if self.kind == "aio":
            await closing

    async def send(self, *bodies: str) -> None:
        async with self.sender() as sender:
            for body in bodies:
                await sender.send_messages(ServiceBusMessage(body))

    async def empty(self) -> None:
        """Leave nothing for the next operation."""
        for sub_queue in (None, "deadletter"):
            async with self.receiver(receive_mode="receiveanddelete", sub_queue=sub_queue) as receiver:
                while await receiver.receive_messages(max_message_count=100, max_wait_time=QUIET_S):
                    pass


async def one(receiver: Any) -> Any:
    """The next message; AssertionError if none comes."""
    got = await receiver.receive_messages(**SETTLED)
    assert got, "no message came"
    return got[0]


async def send_and_complete(bench: Bench) -> None:
    await bench.send("a")
    async with bench.receiver() as receiver:
        got = await one(receiver)
        assert (str(got), got.delivery_count, got.enqueued_sequence_number) == ("a", 0, 0)
        await receiver.complete_message(got)
        assert not await receiver.receive_messages(max_message_count=1, max_wait_time=QUIET_S)


async def every_property_arrives(bench: Bench) -> None:
    properties = {"n": 5, "text": "x", "f": 1.5, "b": True, "u": uuid.UUID(int=7)}
    names = ("message_id", "content_type", "correlation_id", "subject", "to", "reply_to", "partition_key")
    sent = ServiceBusMessage(b"body", application_properties=properties, **{name: name for name in names})  # type: ignore[arg-type]  # all are str
    async with bench.sender() as sender, bench.receiver() as receiver:
        await sender.send_messages(sent)
        got = await one(receiver)
        assert {name: getattr(got, name) for name in names} == {name: name for name in names}
        assert {name.decode(): value for name, value in got.application_properties.items()} == properties | {
            "text": b"x"
        }
        await receiver.complete_message(got)


async def a_list_and_a_batch(bench: Bench) -> None:
    async with bench.sender() as sender, bench.receiver(prefetch_count=20) as receiver:
        await sender.send_messages([ServiceBusMessage(f"{i}") for i in range(10)])
        batch = await sender.create_message_batch()
        for i in range(10, 20):
            batch.add_message(ServiceBusMessage(f"{i}"))
        await sender.send_messages(batch)
        got = [await one(receiver) for _ in range(20)]
        assert [str(message) for message in got] == [f"{i}" for i in range(20)]
        for message in got:
            await receiver.complete_message(message)


async def a_body_of_many_frames(bench: Bench) -> None:
    await bench.send("x" * 200_000)
    async with bench.receiver() as receiver:
        got = await one(receiver)
        assert len(str(got)) == 200_000
        await receiver.complete_message(got)


async def too_large_is_refused(bench: Bench) -> None:
    try:
        await bench.send("x" * 300_000)
    except MessageSizeExceededError:
        return
    raise AssertionError("taken")


async def receive_and_delete(bench: Bench) -> None:
    await bench.send("a")
    async with bench.receiver(receive_mode="receiveanddelete") as receiver:
        assert str(await one(receiver)) == "a"


async def abandon(bench: Bench) -> None:
    await bench.send("a")
    async with bench.receiver() as receiver:
        await receiver.abandon_message(await one(receiver))
        got = await one(receiver)
        assert got.delivery_count == 1
        await receiver.complete_message(got)


async def dead_letter(bench: Bench) -> None:
    await bench.send("a")
    async with bench.receiver() as receiver:
        got = await one(receiver)
        number = got.sequence_number
        await receiver.dead_letter_message(got, reason="Bad", error_description="no such drop")
    async with bench.receiver(sub_queue="deadletter") as receiver:
        dead = await one(receiver)
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Bad", "no such drop")
        assert dead.enqueued_sequence_number == number
        await receiver.complete_message(dead)


async def defer(bench: Bench) -> None:
    """A deferred message completed, abandoned, dead-lettered and its lock renewed, all by requests."""
    await bench.send("a", "b")
    async with bench.receiver() as receiver:
        numbers = []
        for _ in range(2):
            got = await one(receiver)
            numbers.append(got.sequence_number)
            await receiver.defer_message(got)
        first, second = await receiver.receive_deferred_messages(numbers)
        assert (str(first), str(second)) == ("a", "b")
        assert isinstance(first.lock_token, uuid.UUID)
        await receiver.renew_message_lock(first)
        await receiver.complete_message(first)
        await receiver.abandon_message(second)
        (second,) = await receiver.receive_deferred_messages(numbers[1:])
        await receiver.dead_letter_message(second, reason="Bad")
    async with bench.receiver(sub_queue="deadletter") as receiver:
        dead = await one(receiver)
        assert dead.dead_letter_reason == "Bad"
        await receiver.complete_message(dead)


async def peek(bench: Bench) -> None:
    await bench.send("a", "b")
    async with bench.receiver() as receiver:
        assert [str(message) for message in await receiver.peek_messages(10)] == ["a", "b"]


async def schedule_and_cancel(bench: Bench) -> None:
    due = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=2)  # noqa: UP017  # older Pythons too
    async with bench.sender() as sender, bench.receiver() as receiver:
        await sender.send_messages(ServiceBusMessage("by property", scheduled_enqueue_time_utc=due))
        numbers = await sender.schedule_messages([ServiceBusMessage("cancelled"), ServiceBusMessage("kept")], due)
        await sender.cancel_scheduled_messages(numbers[:1])
        got = [await one(receiver), await one(receiver)]
        assert sorted(str(message) for message in got) == ["by property", "kept"]
        assert time.time() >= due.timestamp() - 0.1
        for message in got:
            await receiver.complete_message(message)


async def renew_a_lock(bench: Bench) -> None:
    await bench.send("a")
    async with bench.receiver() as receiver:
        got = await one(receiver)
        before = got.locked_until_utc
        await asyncio.sleep(0.1)
        assert await receiver.renew_message_lock(got) > before
        await receiver.complete_message(got)


async def renew_locks_automatically(bench: Bench) -> None:
    """The queue's locks last 5 s."""
    await bench.send("a")
    renewer: Any = AioAutoLockRenewer() if bench.kind == "aio" else AutoLockRenewer()
    async with bench.receiver() as receiver:
        got = await one(receiver)
        renewer.register(receiver if bench.kind == "aio" else receiver._inner, got, max_lock_renewal_duration=30)
        await asyncio.sleep(6)
        await receiver.complete_message(got)
        closing = renewer.close()
        if bench.kind == "aio":
            await closing


async def time_to_live(bench: Bench) -> None:
    async with bench.sender() as sender, bench.receiver() as receiver:
        await sender.send_messages(ServiceBusMessage("a", time_to_live=dt.timedelta(seconds=1)))
        await asyncio.sleep(1.2)
        assert not await receiver.receive_messages(max_message_count=1, max_wait_time=QUIET_S)
        await sender.send_messages(ServiceBusMessage("b"))
        got = await one(receiver)
        assert got.time_to_live == dt.timedelta(hours=1), got.time_to_live  # the queue's
        assert got.expires_at_utc == got.enqueued_time_utc + dt.timedelta(hours=1)
        await receiver.complete_message(got)


async def duplicates(bench: Bench) -> None:
    async with bench.sender() as sender, bench.receiver() as receiver:
        for body in ("a", "b"):
            await sender.send_messages(ServiceBusMessage(body, message_id="same"))
        await receiver.complete_message(await one(receiver))
        assert not await receiver.receive_messages(max_message_count=1, max_wait_time=QUIET_S)


async def a_session_is_refused(bench: Bench) -> None:
    try:
        async with bench.receiver(session_id="s1") as receiver:
            await receiver.receive_messages(max_message_count=1, max_wait_time=QUIET_S)
    except ServiceBusError as refused:
        assert "does not require sessions" in str(refused) or "not-allowed" in str(refused), refused
        return
    raise AssertionError("opened")


async def an_unknown_queue_is_refused(bench: Bench) -> None:
    try:
        async with bench.sender("nowhere") as sender:
            await sender.send_messages(ServiceBusMessage("a"))
    except MessagingEntityNotFoundError:
        return
    raise AssertionError("taken")


OPERATIONS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    send_and_complete,
    every_property_arrives,
    a_list_and_a_batch,
    a_body_of_many_frames,
    too_large_is_refused,
    receive_and_delete,
    abandon,
    dead_letter,
    defer,
    peek,
    schedule_and_cancel,
    renew_a_lock,
    renew_locks_automatically,
    time_to_live,
    duplicates,
    a_session_is_refused,
    an_unknown_queue_is_refused,
)


async def run(bench: Bench, operation: Callable[[Bench], Awaitable[None]]) -> str | None:
    """What went wrong, None if nothing did."""
    try:
        await asyncio.wait_for(operation(bench), OPERATION_S)
    except Exception as wrong:  # noqa: BLE001  # each operation is judged by itself
        return f"{type(wrong).__name__}: {wrong}"[:300]
    return None


async def main(connection_string: str, queue: str, kind: str) -> None:
    bench = Bench(connection_string, queue, kind)
    for operation in OPERATIONS:
        error = await run(bench, operation)
        print(json.dumps({"operation": operation.__name__, "error": error}), flush=True)
        if error is not None or operation is peek:
            await run(bench, Bench.empty)
    await bench.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
