"""What the Service Bus session does about a broker in trouble, with the real SDK."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusSender

from lab.azure.redis_server import free_port
from lab.azure.service_bus import Broker
from services.queue_session import MessageNotSent, MessageOutcomeUnknown, QueueUnavailable
from services.queue_session.connection import ServiceBusConnection
from tests.integration.services.queue_session.bus import HTTP_S, QUEUES, OpenQueue, by_string, count, stored
from tests.waiting import until


async def test_a_broker_that_is_killed_and_comes_back_is_used_again(open_queue: OpenQueue) -> None:
    with Broker(QUEUES, port=free_port()) as first:
        queue = open_queue(by_string(first))
        await queue.send("before", b"{}", within_s=5)
    with pytest.raises(QueueUnavailable):
        await queue.send("while it is down", b"{}", within_s=0.3)
    with Broker(QUEUES, port=first.port) as second:
        await queue.send("after", b"{}", within_s=HTTP_S + 1)
        assert stored(second) == ["after"]


async def test_trouble_is_logged_once_by_a_caller_in_its_own_task_and_so_is_its_end(
    open_queue: OpenQueue, caplog: pytest.LogCaptureFixture
) -> None:
    tasks: set[asyncio.Task[object] | None] = set()

    def keep_task(record: logging.LogRecord) -> bool:
        tasks.add(asyncio.current_task())
        return True

    log = logging.getLogger("services.queue_session.queue_service")
    log.addFilter(keep_task)
    try:
        with Broker(QUEUES, port=free_port()) as first:
            queue = open_queue(by_string(first))
            await queue.send("before", b"{}", within_s=5)
        for name in "abcde":
            with pytest.raises(QueueUnavailable):
                await queue.send(name, b"{}", within_s=0.3)
        with Broker(QUEUES, port=first.port):
            await queue.send("after", b"{}", within_s=HTTP_S + 1)
    finally:
        log.removeFilter(keep_task)
    lines = [record.getMessage() for record in caplog.records if record.name == log.name]
    assert [line.split(" after")[0] for line in lines[-1:]] == ["Service Bus session: sends again,"]
    assert len(set(lines)) == len(lines) > 1
    assert tasks == {asyncio.current_task()}


async def test_a_broker_that_accepts_and_says_nothing_costs_the_deadline_and_no_more(
    broker: Broker, open_queue: OpenQueue
) -> None:
    queue = open_queue(by_string(broker))
    broker.faults.mute()
    async with asyncio.timeout(1.0):  # the contract: deadline + 0.5 s
        with pytest.raises(MessageNotSent):
            await queue.send("at the open", b"{}", within_s=0.5)
    broker.faults.unmute()
    await queue.send("first", b"{}", within_s=5)
    broker.faults.mute()
    async with asyncio.timeout(1.0):
        with pytest.raises(MessageOutcomeUnknown):
            await queue.send("on a link that was good", b"{}", within_s=0.5)
    broker.faults.unmute()
    await queue.send("last", b"{}", within_s=5)
    assert set(stored(broker)) >= {"first", "last"}


async def test_after_a_forced_detach_the_next_send_is_stored_once_within_a_requests_time(
    broker: Broker, connection: ServiceBusConnection, open_queue: OpenQueue
) -> None:
    queue = open_queue(connection, "plain")
    await queue.send("first", b"{}", within_s=5)
    broker.faults.detach_links()
    await queue.send("second", b"{}", within_s=HTTP_S)
    assert stored(broker, "plain") == ["first", "second"]


async def test_a_connection_cut_while_idle_costs_the_next_send_no_error(broker: Broker, open_queue: OpenQueue) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    broker.faults.cut_connections()
    await queue.send("second", b"{}", within_s=HTTP_S)
    assert stored(broker) == ["first", "second"]


async def test_a_busy_broker_is_asked_again_on_the_same_link_in_order(broker: Broker, open_queue: OpenQueue) -> None:
    queue = open_queue(by_string(broker), "plain")
    broker.faults.refuse_sends(1)
    await asyncio.gather(*(queue.send(f"{n}", b"{}", within_s=5) for n in range(10)))
    assert stored(broker, "plain") == [f"{n}" for n in range(10)]
    assert queue.counters.opened == 1


async def test_a_broker_that_stays_busy_is_asked_three_times_and_then_reported_not_to_have_it(
    broker: Broker, open_queue: OpenQueue
) -> None:
    queue = open_queue(by_string(broker))
    broker.faults.refuse_sends(3)
    with pytest.raises(MessageNotSent, match="ServerBusy"):
        await queue.send("refused", b"{}", within_s=20)
    await queue.send("next", b"{}", within_s=5)
    assert stored(broker) == ["next"]


async def test_a_full_queue_is_reported_to_have_refused_the_message(broker: Broker, open_queue: OpenQueue) -> None:
    queue = open_queue(by_string(broker), "small")
    await queue.send("first", b"{}", within_s=5)
    with pytest.raises(MessageNotSent, match="Quota"):
        await queue.send("second", b"{}", within_s=5)


async def test_a_lost_confirmation_is_repeated_under_the_same_id_and_leaves_one_copy(
    broker: Broker, connection: ServiceBusConnection, open_queue: OpenQueue
) -> None:
    queue = open_queue(connection)
    await queue.send("first", b"{}", within_s=5)
    broker.faults.cut_after_storing(1)
    await queue.send("second", b"{}", within_s=5)
    assert stored(broker) == ["first", "second"]
    assert broker.stats("orders")["duplicates"] == 1


async def test_confirmations_that_stay_lost_leave_the_outcome_unknown_after_three_attempts(
    broker: Broker, open_queue: OpenQueue
) -> None:
    queue = open_queue(by_string(broker))
    broker.faults.cut_after_storing(3)
    with pytest.raises(MessageOutcomeUnknown):
        await queue.send("unconfirmed", b"{}", within_s=20)
    assert count(broker) == 1
    assert broker.stats("orders")["duplicates"] == 2


async def test_a_refusal_after_an_attempt_that_may_have_been_stored_does_not_hide_it(
    broker: Broker, open_queue: OpenQueue
) -> None:
    queue = open_queue(by_string(broker))
    broker.faults.cut_after_storing(1)
    sending = asyncio.create_task(queue.send("stored", b"{}", within_s=20))
    await until(lambda: count(broker) == 1)
    broker.faults.refuse_sends(2)
    with pytest.raises(MessageOutcomeUnknown, match="ServerBusy"):
        await sending


async def test_an_unknown_queue_is_reported_long_before_the_deadline(broker: Broker, open_queue: OpenQueue) -> None:
    queue = open_queue(by_string(broker), "nowhere")
    async with asyncio.timeout(10):
        with pytest.raises(MessageNotSent, match="EntityNotFound"):
            await queue.send("lost", b"{}", within_s=60)


@pytest.mark.parametrize(
    ("message_id", "body", "properties"),
    [
        ("big", b"x" * 300_000, {}),
        ("i" * 129, b"{}", {}),
        ("odd", b"{}", {"odd": object()}),
    ],
    ids=["too large", "id too long", "property of no AMQP type"],
)
async def test_a_message_that_cannot_be_sent_fails_its_own_caller_only(
    broker: Broker, open_queue: OpenQueue, message_id: str, body: bytes, properties: dict[str, str]
) -> None:
    queue = open_queue(by_string(broker))
    outcomes = await asyncio.gather(
        queue.send("before", b"{}", within_s=5),
        queue.send(message_id, body, within_s=30, properties=properties),
        queue.send("after", b"{}", within_s=5),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), MessageNotSent, type(None)]
    assert stored(broker) == ["before", "after"]


async def test_more_than_fits_one_batch_goes_in_several(broker: Broker, open_queue: OpenQueue) -> None:
    queue = open_queue(by_string(broker))
    await asyncio.gather(*(queue.send(f"{n}", b"x" * 100_000, within_s=10) for n in range(6)))
    assert stored(broker) == [f"{n}" for n in range(6)]
    assert queue.counters.batches == 3


async def test_a_batch_refused_for_its_size_is_halved_in_its_order(broker: Broker, open_queue: OpenQueue) -> None:
    queue = open_queue(by_string(broker), "plain")
    await queue.send("first", b"{}", within_s=5)
    broker.faults.refuse_sends(1, "amqp:link:message-size-exceeded")
    await asyncio.gather(*(queue.send(f"{n}", b"{}", within_s=5) for n in range(5)))
    assert stored(broker, "plain") == ["first", *map(str, range(5))]
    assert queue.counters.batches == 1 + 3


async def test_batches_too_large_for_the_queue_are_halved_until_they_fit(
    broker: Broker, open_queue: OpenQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link says 256 KB, the queue takes less: 400 callers need a dozen batches, not 400."""
    monkeypatch.setattr("lab.azure.service_bus.service.MAX_MESSAGE", 40_000)
    queue = open_queue(by_string(broker), "plain")
    await asyncio.gather(*(queue.send(f"{n}", b"x" * 400, within_s=20) for n in range(400)))
    assert stored(broker, "plain") == [f"{n}" for n in range(400)]
    assert queue.counters.batches <= 16


async def test_one_message_that_is_too_large_for_the_queue_fails_alone(
    broker: Broker, open_queue: OpenQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.azure.service_bus.service.MAX_MESSAGE", 20_000)
    queue = open_queue(by_string(broker), "plain")
    bodies = [b"x" * (30_000 if n == 11 else 10) for n in range(40)]
    sends = (queue.send(f"{n}", body, within_s=20) for n, body in enumerate(bodies))
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, MessageNotSent)] == [11]
    assert stored(broker, "plain") == [f"{n}" for n in range(40) if n != 11]


async def test_a_cancellation_out_of_the_sdk_costs_an_attempt_and_no_more(
    broker: Broker, open_queue: OpenQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    for name in ("send_messages", "create_message_batch"):
        spoil_once(monkeypatch, name)
        await queue.send(f"after {name}", b"{}", within_s=5)
    assert stored(broker) == ["first", "after send_messages", "after create_message_batch"]


def spoil_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The next call of the SDK's sender ends as if it had cancelled itself."""

    async def cancelled(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise asyncio.CancelledError

    monkeypatch.setattr(ServiceBusSender, name, cancelled)


async def test_a_sending_task_that_somebody_cancelled_is_replaced(broker: Broker, open_queue: OpenQueue) -> None:
    """Who waits is told at once; the connection that it left open is closed."""
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    broker.faults.delay_confirmations(30)
    waiting = asyncio.create_task(queue.send("second", b"{}", within_s=60))
    await until(lambda: count(broker) == 2)
    (owner,) = (task for task in asyncio.all_tasks() if task.get_name() == "queue sender")
    owner.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(MessageOutcomeUnknown, match="the task that sends has ended"):
            await waiting
    broker.faults.delay_confirmations(0)
    await queue.send("third", b"{}", within_s=5)
    assert stored(broker) == ["first", "second", "third"]
    await until(lambda: broker.connections == 1)


async def test_the_error_of_a_broken_connection_is_not_left_unread(broker: Broker, open_queue: OpenQueue) -> None:
    """asyncio would complain of it if garbage collection took the future before the protocol that holds it."""
    queue = open_queue(by_string(broker))
    await queue.send("before", b"{}", within_s=5)
    owner: Any = queue._owner
    handler = owner._sender.sdk._handler
    transport = handler._connection._transport.writer.transport
    protocol = transport.get_protocol()
    transport.get_extra_info("socket").shutdown(socket.SHUT_WR)  # the next write is a broken pipe
    await queue.send("after", b"{}", within_s=5)
    protocol._closed = asyncio.get_running_loop().create_future()  # open_queue looks for what is said now
