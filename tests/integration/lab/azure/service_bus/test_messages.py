"""Sending, receiving and settling with the real SDK, sync and aio."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from lab.azure.service_bus import Broker
from tests.waiting import until

from .clients import Client, connect, leaks, take
from .clock import Clock

UTC = dt.UTC


async def test_a_message_arrives_with_every_property_it_was_sent_with(client: Client) -> None:
    sent = ServiceBusMessage(
        b"body",
        message_id="m1",
        content_type="text/plain",
        correlation_id="c1",
        subject="s1",
        to="t1",
        reply_to="r1",
        application_properties={"n": 5, "text": "x", "f": 1.5, "b": True, "u": uuid.UUID(int=7)},
    )
    await client.send("orders", sent)
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
        assert b"".join(got.body) == b"body"
        named = (got.message_id, got.content_type, got.correlation_id, got.subject, got.to, got.reply_to)
        assert named == ("m1", "text/plain", "c1", "s1", "t1", "r1")
        assert got.application_properties == {b"n": 5, b"text": b"x", b"f": 1.5, b"b": True, b"u": uuid.UUID(int=7)}


async def test_the_broker_stamps_number_time_lock_and_a_delivery_count_of_0(client: Client) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
    now = dt.datetime.now(UTC)
    assert (got.sequence_number, got.delivery_count) == (1, 0)
    assert abs((got.enqueued_time_utc - now).total_seconds()) < 20
    assert 0 < (got.locked_until_utc - now).total_seconds() <= 30
    assert isinstance(got.lock_token, uuid.UUID)


async def test_a_completed_message_is_gone(client: Client, broker: Broker) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
        await receiver.complete_message(got)
        with pytest.raises(MessageAlreadySettled):
            await receiver.complete_message(got)
    await until(lambda: broker.stats("orders")["completed"] == 1)
    assert broker.stats("orders")["active"] == 0


async def test_a_list_a_batch_and_a_batch_of_one_arrive_in_order(client: Client, broker: Broker) -> None:
    async with client.sender("orders") as sender:
        await sender.send_messages([ServiceBusMessage(f"list {i}") for i in range(100)])
        batch = await sender.create_message_batch()
        for i in range(50):
            batch.add_message(ServiceBusMessage(f"batch {i}"))
        await sender.send_messages(batch)
        await sender.send_messages([ServiceBusMessage("one")])
    expected = [*(f"list {i}" for i in range(100)), *(f"batch {i}" for i in range(50)), "one"]
    async with client.receiver("orders", prefetch_count=50) as receiver:
        assert [str(message) for message in await take(receiver, 151)] == expected


async def test_a_message_of_two_data_sections_stays_one_message(client: Client) -> None:
    await client.send("orders", AmqpAnnotatedMessage(data_body=[b"part1", b"part2"]))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
    assert list(got.body) == [b"part1", b"part2"]


async def test_a_body_over_many_frames_arrives_whole(client: Client) -> None:
    body = bytes(range(256)) * 900
    await client.send("orders", ServiceBusMessage(body))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
    assert b"".join(got.body) == body


async def test_a_message_over_256_kb_is_refused(client: Client, broker: Broker) -> None:
    async with client.sender("orders") as sender:
        assert (await sender.create_message_batch()).max_size_in_bytes == 256 * 1024
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(b"x" * 300_000))
    assert broker.stats("orders")["active"] == 0


async def test_receive_and_delete_leaves_nothing_behind(client: Client, broker: Broker) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with client.receiver("orders", receive_mode=mode) as receiver:
        assert [str(message) for message in await take(receiver)] == ["x"]
    assert broker.stats("orders")["active"] == 0


async def test_an_abandoned_message_comes_back_until_it_is_dead_lettered(client: Client) -> None:
    await client.send("orders", ServiceBusMessage("x", message_id="m1", application_properties={"k": 1}))
    async with client.receiver("orders") as receiver:
        for deliveries in range(3):
            (got,) = await take(receiver)
            assert (got.delivery_count, got.sequence_number) == (deliveries, 1)
            await receiver.abandon_message(got)
        assert await take(receiver, wait_s=0.2) == []
    async with client.receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
        (dead,) = await take(receiver)
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert (dead.message_id, dead.application_properties[b"k"], dead.delivery_count) == ("m1", 1, 3)


async def test_a_dead_letter_carries_reason_and_description_and_can_be_completed(
    client: Client, broker: Broker
) -> None:
    await client.send("orders", ServiceBusMessage("x"))
    async with client.receiver("orders") as receiver:
        (got,) = await take(receiver)
        await receiver.dead_letter_message(got, reason="BadOrder", error_description="no such drop")
    async with client.receiver("orders", sub_queue="deadletter") as receiver:
        (dead,) = await take(receiver)
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("BadOrder", "no such drop")
        await receiver.complete_message(dead)
    await until(lambda: broker.stats("orders")["dead"] == 0)


async def test_a_deferred_message_is_received_by_its_number_only(client: Client, broker: Broker) -> None:
    await client.send("orders", ServiceBusMessage("a"), ServiceBusMessage("b"))
    async with client.receiver("orders") as receiver:
        (first,) = await take(receiver)
        await receiver.defer_message(first)
        (second,) = await take(receiver)
        assert str(second) == "b"
        assert broker.stats("orders")["deferred"] == 1
        (deferred,) = await receiver.receive_deferred_messages([first.sequence_number])
        assert (str(deferred), deferred.delivery_count) == ("a", 1)
        await receiver.complete_message(deferred)
    assert broker.stats("orders")["completed"] == 1


async def test_peek_shows_messages_without_locking_them(client: Client, broker: Broker) -> None:
    await client.send("orders", ServiceBusMessage("a"), ServiceBusMessage("b"))
    async with client.receiver("orders") as receiver:
        assert [str(message) for message in await receiver.peek_messages(10)] == ["a", "b"]
        assert [str(message) for message in await receiver.peek_messages(10, sequence_number=2)] == ["b"]
        assert await receiver.peek_messages(10, sequence_number=3) == []
    assert broker.stats("orders")["locked"] == 0


async def test_a_scheduled_message_appears_when_it_is_due(client: Client, broker: Broker, clock: Clock) -> None:
    due = dt.datetime.now(UTC) + dt.timedelta(seconds=60)
    async with client.sender("orders") as sender, client.receiver("orders") as receiver:
        await sender.send_messages(ServiceBusMessage("by property", scheduled_enqueue_time_utc=due))
        cancelled, _ = await sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], due)
        await sender.cancel_scheduled_messages([cancelled])
        assert broker.stats("orders")["scheduled"] == 2
        clock.ahead_s = 50
        assert await take(receiver, wait_s=0.2) == []
        clock.ahead_s = 61
        assert sorted(str(message) for message in await take(receiver, 2)) == ["b", "by property"]


@leaks
async def test_cancelling_what_is_not_scheduled_is_an_error(client: Client) -> None:
    async with client.sender("orders") as sender:
        with pytest.raises(ServiceBusError):
            await sender.cancel_scheduled_messages([4711])


async def test_an_expired_message_is_dropped_although_nobody_receives(client: Client, broker: Broker) -> None:
    await client.send("orders", ServiceBusMessage("x", time_to_live=dt.timedelta(seconds=0.2)))
    await until(lambda: broker.stats("orders")["active"] == 0)
    assert broker.stats("orders")["dead"] == 0


async def test_an_expired_message_is_dead_lettered_where_the_queue_says_so(client: Client, broker: Broker) -> None:
    await client.send("perishable", ServiceBusMessage("x", time_to_live=dt.timedelta(seconds=0.2)))
    await until(lambda: broker.stats("perishable")["dead"] == 1)
    async with client.receiver("perishable", sub_queue="deadletter") as receiver:
        (dead,) = await take(receiver)
    assert dead.dead_letter_reason == "TTLExpiredException"


async def test_a_message_id_is_stored_once_within_the_window_and_again_after_it(
    client: Client, broker: Broker, clock: Clock
) -> None:
    same = [ServiceBusMessage("x", message_id="same"), ServiceBusMessage("y", message_id="other")]
    async with client.sender("once") as sender:
        await sender.send_messages(ServiceBusMessage("x", message_id="same"))
        await sender.send_messages(ServiceBusMessage("x", message_id="same"))
        await sender.send_messages(same)
        stats = broker.stats("once")
        assert (stats["active"], stats["duplicates"]) == (2, 2)
        clock.ahead_s = 601
        await sender.send_messages(ServiceBusMessage("x", message_id="same"))
    assert broker.stats("once")["active"] == 3


async def test_two_receivers_are_served_in_turn(client: Client, broker: Broker) -> None:
    async with client.receiver("orders") as one, client.receiver("orders") as other:

        async def listen(receiver: Any) -> list[Any]:
            return list(await receiver.receive_messages(max_message_count=10, max_wait_time=3))

        listening = [asyncio.create_task(listen(receiver)) for receiver in (one, other)]
        await asyncio.sleep(0.5)  # both receivers have given credit, which nothing shows
        await client.send("orders", [ServiceBusMessage(str(i)) for i in range(10)])
        got = [{str(message) for message in await task} for task in listening]
    assert all(got)
    assert got[0] | got[1] == {str(i) for i in range(10)}


@leaks
async def test_a_full_queue_refuses_a_send_as_a_whole(broker: Broker, kind: str) -> None:
    client = connect(kind, broker.connection_string, retry_total=0)
    await client.send("small", ServiceBusMessage("1"), ServiceBusMessage("2"))
    with pytest.raises(ServiceBusError, match="resource-limit-exceeded"):
        await client.send("small", [ServiceBusMessage("3"), ServiceBusMessage("4")])
    assert broker.stats("small")["active"] == 2
    await client.close()


@leaks
async def test_an_unknown_queue_is_not_found(broker: Broker, kind: str) -> None:
    client = connect(kind, broker.connection_string, retry_total=0)
    with pytest.raises(MessagingEntityNotFoundError):
        await client.send("nowhere", ServiceBusMessage("x"))
    with pytest.raises(MessagingEntityNotFoundError):
        async with client.receiver("nowhere") as receiver:
            await take(receiver)
    await client.close()


async def test_queue_names_have_no_case(client: Client, broker: Broker) -> None:
    await client.send("ORDERS", ServiceBusMessage("x"))
    assert broker.stats("Orders")["active"] == 1
