"""What the Service Bus session stores and what its callers hear, with the real SDK."""

from __future__ import annotations

import asyncio

import pytest

from lab.azure.redis_server import free_port
from lab.azure.service_bus import Broker
from services.queue_session import MessageNotSent, MessageOutcomeUnknown
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import MAX_WAITING
from tests.integration.services.queue_session.bus import QUEUES, OpenQueue, by_string, count, receive, stored
from tests.waiting import turns_of_the_loop, until


async def test_two_hundred_sends_at_once_are_all_stored_once_and_in_order_in_a_few_batches(
    broker: Broker, connection: ServiceBusConnection, open_queue: OpenQueue
) -> None:
    queue = open_queue(connection, "plain")
    await asyncio.gather(*(queue.send(f"order-{n}", b"{}", within_s=10) for n in range(200)))
    assert stored(broker, "plain") == [f"order-{n}" for n in range(200)]
    assert queue.counters.batches <= 3
    assert (queue.counters.sent, queue.counters.opened, queue.counters.failures) == (200, 1, 0)


async def test_a_message_arrives_with_its_body_its_id_and_the_trace_context(
    broker: Broker, connection: ServiceBusConnection, open_queue: OpenQueue
) -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
    await open_queue(connection).send("order-1", b'{"order_id": "1"}', within_s=10, properties=trace)
    message = await receive(broker)
    assert (str(message), message.message_id) == ('{"order_id": "1"}', "order-1")
    assert message.content_type == "application/json"
    assert message.application_properties == {key.encode(): text.encode() for key, text in trace.items()}


async def test_building_the_session_connects_nothing(broker: Broker, open_queue: OpenQueue) -> None:
    open_queue(by_string(broker))
    await asyncio.sleep(0.05)
    assert broker.connections == 0


async def test_a_message_whose_deadline_came_before_it_was_sent_is_withdrawn_for_good(open_queue: OpenQueue) -> None:
    port = free_port()
    broker = Broker(QUEUES, port=port)
    queue = open_queue(ServiceBusConnection(connection_string=broker.connection_string.replace(":0;", f":{port};")))
    with pytest.raises(MessageNotSent, match="ServiceBusConnectionError"):
        await queue.send("withdrawn", b"{}", within_s=0.5)
    with broker:
        await queue.send("second", b"{}", within_s=5)
        assert stored(broker) == ["second"]


async def test_a_message_whose_deadline_came_before_its_confirmation_may_be_stored(
    broker: Broker, open_queue: OpenQueue
) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    broker.faults.delay_confirmations(0.5)
    with pytest.raises(MessageOutcomeUnknown):
        await queue.send("unconfirmed", b"{}", within_s=0.2)
    assert count(broker) == 2


async def test_cancelled_callers_that_still_waited_have_their_messages_withdrawn(
    broker: Broker, open_queue: OpenQueue
) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    broker.faults.delay_confirmations(0.3)
    holding = asyncio.create_task(queue.send("holding", b"{}", within_s=5))
    await until(lambda: count(broker) == 2)
    waiting = [asyncio.create_task(queue.send(f"cancelled-{n}", b"{}", within_s=5)) for n in range(20)]
    last = asyncio.create_task(queue.send("last", b"{}", within_s=5))
    await asyncio.sleep(0)
    for caller in waiting:
        caller.cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await asyncio.gather(holding, last)
    assert stored(broker) == ["first", "holding", "last"]


async def test_a_thousand_may_wait_and_the_next_one_fails_at_once(open_queue: OpenQueue) -> None:
    queue = open_queue(ServiceBusConnection(connection_string=Broker(QUEUES, port=free_port()).connection_string))
    waiting = [asyncio.create_task(queue.send(f"{n}", b"{}", within_s=600)) for n in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(MessageNotSent, match="1000 messages are waiting"):
        await queue.send("one too many", b"{}", within_s=30)
    assert not any(task.done() for task in waiting)

    async def repeat() -> None:
        for _ in range(50):
            with pytest.raises(MessageNotSent):
                await queue.send("one too many", b"{}", within_s=30)

    assert await turns_of_the_loop(asyncio.create_task(repeat())) >= 50
    waiting[500].cancel()
    await asyncio.gather(waiting[500], return_exceptions=True)
    with pytest.raises(MessageNotSent, match="deadline"):
        await queue.send("in the place of one that gave up", b"{}", within_s=0.05)
    await queue.aclose()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes if isinstance(outcome, MessageNotSent)} == {
        "not sent to Service Bus: the session was closed"
    }
