"""Every operation on a queue, once, with whatever azure-servicebus is installed: 7.11 to the newest, sync or aio.

    python operations.py CONNECTION_STRING QUEUE sync|aio

Prints a JSON line per operation, {"operation": ..., "error": null or text}. It runs in environments that hold nothing
but that SDK, so it must never import anything else. SSL_CERT_FILE names the certificate of a server that speaks TLS.
"""

# ruff: noqa: T201, PT017  # it prints its results, and has no pytest
from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from azure.servicebus import AutoLockRenewer, ServiceBusClient, ServiceBusMessage
from azure.servicebus.aio import AutoLockRenewer as AioAutoLockRenewer
from azure.servicebus.aio import ServiceBusClient as AioServiceBusClient
from azure.servicebus.exceptions import MessageSizeExceededError, MessagingEntityNotFoundError, ServiceBusError

WAIT_S = 5
OPERATION_S = 30.0
UTC = dt.timezone.utc  # noqa: UP017  # older Pythons too


class Sync:
    """An object of the sync client, its methods awaitable."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            return await asyncio.to_thread(getattr(self.inner, name), *args, **options)

        return call

    async def __aenter__(self) -> Sync:
        await asyncio.to_thread(self.inner.__enter__)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.inner.__exit__, *error)


OPERATIONS: list[Callable[[Bench], Awaitable[None]]] = []


def operation(does: Callable[[Bench], Awaitable[None]]) -> None:
    """A row of the matrix."""
    OPERATIONS.append(does)


class Bench:
    """A client of either kind, with what is opened once: each takes the SDK half a second, and as long to close."""

    def __init__(self, connection_string: str, queue: str, kind: str) -> None:
        self.queue, self.aio = queue, kind == "aio"
        make: Any = AioServiceBusClient if self.aio else ServiceBusClient
        options = {"connection_verify": os.environ.get("SSL_CERT_FILE"), "retry_total": 1}
        self.client = make.from_connection_string(connection_string, **options)
        self.sender, self.receiver = self.face(self.client.get_queue_sender(queue)), self.receive()
        self.dead = self.receive(sub_queue="deadletter")

    def receive(self, **options: Any) -> Any:
        return self.face(self.client.get_queue_receiver(self.queue, **options))

    def face(self, inner: Any) -> Any:
        return inner if self.aio else Sync(inner)

    async def send(self, *bodies: str, **properties: Any) -> None:
        for body in bodies:
            await self.sender.send_messages(ServiceBusMessage(body, **properties))

    async def one(self, receiver: Any = None) -> Any:
        """The next message; AssertionError if none comes."""
        got = await (receiver or self.receiver).receive_messages(max_message_count=1, max_wait_time=WAIT_S)
        assert got, "no message came"
        return got[0]

    async def complete(self, expected: str) -> Any:
        got = await self.one()
        assert str(got) == expected, got
        await self.receiver.complete_message(got)
        return got

    async def is_empty(self) -> bool:
        return not await self.receiver.peek_messages(1)

    async def close(self) -> None:
        for closing in (self.sender, self.receiver, self.dead, self.face(self.client)):
            await closing.close()


@operation
async def send_and_complete(bench: Bench) -> None:
    await bench.send("a")
    got = await bench.complete("a")
    assert (got.delivery_count, got.enqueued_sequence_number) == (0, 0)
    assert await bench.is_empty()


@operation
async def every_property_arrives(bench: Bench) -> None:
    properties = {"n": 5, "text": "x", "f": 1.5, "b": True, "u": uuid.UUID(int=7)}
    names = ("message_id", "content_type", "correlation_id", "subject", "to", "reply_to", "partition_key")
    named = {name: name for name in names}
    await bench.send("a", application_properties=properties, **named)
    got = await bench.complete("a")
    assert {name: getattr(got, name) for name in names} == named
    assert {name.decode(): value for name, value in got.application_properties.items()} == properties | {"text": b"x"}


@operation
async def a_list_and_a_batch(bench: Bench) -> None:
    numbers = [f"{number}" for number in range(20)]
    await bench.sender.send_messages([ServiceBusMessage(number) for number in numbers[:10]])
    batch = await bench.sender.create_message_batch()
    for number in numbers[10:]:
        batch.add_message(ServiceBusMessage(number))
    await bench.sender.send_messages(batch)
    await bench.sender.send_messages([ServiceBusMessage("of one")])
    assert batch.max_size_in_bytes == 256 * 1024
    async with bench.receive(prefetch_count=30) as receiver:
        for number in [*numbers, "of one"]:
            got = await bench.one(receiver)
            assert str(got) == number
            await receiver.complete_message(got)


@operation
async def a_body_of_many_frames(bench: Bench) -> None:
    await bench.send("x" * 200_000)
    await bench.complete("x" * 200_000)


@operation
async def too_large_is_refused(bench: Bench) -> None:
    try:
        await bench.send("x" * 300_000)
    except MessageSizeExceededError:
        return
    raise AssertionError("taken")


@operation
async def receive_and_delete(bench: Bench) -> None:
    await bench.send("a")
    async with bench.receive(receive_mode="receiveanddelete") as receiver:
        assert str(await bench.one(receiver)) == "a"
    assert await bench.is_empty()


@operation
async def abandon(bench: Bench) -> None:
    await bench.send("a")
    await bench.receiver.abandon_message(await bench.one())
    assert (await bench.complete("a")).delivery_count == 1


@operation
async def dead_letter(bench: Bench) -> None:
    await bench.send("a")
    got = await bench.one()
    number = got.sequence_number
    await bench.receiver.dead_letter_message(got, reason="Bad", error_description="no such drop")
    dead = await bench.one(bench.dead)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Bad", "no such drop")
    assert dead.enqueued_sequence_number == number
    await bench.dead.complete_message(dead)


@operation
async def defer(bench: Bench) -> None:
    """A deferred message completed, abandoned, dead-lettered and its lock renewed, all by requests."""
    await bench.send("a", "b")
    deferred = [await bench.one(), await bench.one()]
    numbers = [got.sequence_number for got in deferred]
    for got in deferred:
        await bench.receiver.defer_message(got)
    first, second = await bench.receiver.receive_deferred_messages(numbers)
    assert (str(first), str(second), type(first.lock_token)) == ("a", "b", uuid.UUID)
    await bench.receiver.renew_message_lock(first)
    await bench.receiver.complete_message(first)
    await bench.receiver.abandon_message(second)
    (second,) = await bench.receiver.receive_deferred_messages(numbers[1:])
    await bench.receiver.dead_letter_message(second, reason="Bad")
    dead = await bench.one(bench.dead)
    assert dead.dead_letter_reason == "Bad"
    await bench.dead.complete_message(dead)


@operation
async def peek(bench: Bench) -> None:
    await bench.send("a", "b")
    assert [str(message) for message in await bench.receiver.peek_messages(10)] == ["a", "b"]
    got = await bench.complete("a")
    later = got.sequence_number + 1
    assert [str(message) for message in await bench.receiver.peek_messages(10, sequence_number=later)] == ["b"]
    await bench.complete("b")


@operation
async def schedule_and_cancel(bench: Bench) -> None:
    due = dt.datetime.now(UTC) + dt.timedelta(seconds=2)
    await bench.send("by property", scheduled_enqueue_time_utc=due)
    later = [ServiceBusMessage("cancelled"), ServiceBusMessage("kept")]
    await bench.sender.cancel_scheduled_messages((await bench.sender.schedule_messages(later, due))[:1])
    for body in ("by property", "kept"):
        await bench.complete(body)
    assert dt.datetime.now(UTC) >= due - dt.timedelta(seconds=0.1)
    assert await bench.is_empty()


@operation
async def renew_a_lock(bench: Bench) -> None:
    await bench.send("a")
    got = await bench.one()
    before = got.locked_until_utc
    await asyncio.sleep(0.01)
    assert await bench.receiver.renew_message_lock(got) > before
    await bench.receiver.complete_message(got)


@operation
async def renew_locks_automatically(bench: Bench) -> None:
    """The queue's locks last 5 s."""
    await bench.send("a")
    got = await bench.one()
    renewer: Any = AioAutoLockRenewer() if bench.aio else AutoLockRenewer()
    renewer.register(bench.receiver if bench.aio else bench.receiver.inner, got, max_lock_renewal_duration=30)
    await asyncio.sleep(5.5)
    await bench.receiver.complete_message(got)
    await bench.face(renewer).close()


@operation
async def time_to_live(bench: Bench) -> None:
    await bench.send("a", time_to_live=dt.timedelta(seconds=1))
    await asyncio.sleep(1.1)
    assert await bench.is_empty()
    await bench.send("b")
    got = await bench.complete("b")
    assert got.time_to_live == dt.timedelta(hours=1), got.time_to_live  # the queue's
    assert got.expires_at_utc == got.enqueued_time_utc + dt.timedelta(hours=1)


@operation
async def duplicates(bench: Bench) -> None:
    await bench.send("a", "b", message_id="same")
    await bench.complete("a")
    assert await bench.is_empty()


@operation
async def a_session_is_refused(bench: Bench) -> None:
    try:
        async with bench.receive(session_id="s1") as receiver:
            await bench.one(receiver)
    except ServiceBusError as refused:
        assert "does not require sessions" in str(refused) or "not-allowed" in str(refused), refused
        return
    raise AssertionError("opened")


@operation
async def an_unknown_queue_is_refused(bench: Bench) -> None:
    refusals = 0
    for make in (bench.client.get_queue_sender, bench.client.get_queue_receiver):
        try:
            async with bench.face(make("nowhere")):
                pass
        except MessagingEntityNotFoundError:
            refusals += 1
    assert refusals == 2


async def run(bench: Bench, does: Callable[[Bench], Awaitable[None]]) -> str | None:
    """What went wrong, None if nothing did."""
    try:
        await asyncio.wait_for(does(bench), OPERATION_S)
    except Exception as wrong:  # noqa: BLE001  # each operation is judged by itself
        return f"{type(wrong).__name__}: {wrong}"[:300]
    return None


async def main(connection_string: str, queue: str, kind: str) -> None:
    bench = Bench(connection_string, queue, kind)
    for does in OPERATIONS:
        print(json.dumps({"operation": does.__name__, "error": await run(bench, does)}), flush=True)
    await bench.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
