"""The Service Bus session, the real SDK, the local Service Bus: what is stored, and what callers hear."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from lab.redis_server import free_port
from lab.service_bus import Broker, QueueConfig
from services import order_queue, service_bus_connection
from services.errors import BadSetting, MessageNotSent, MessageOutcomeUnknown, QueueUnavailable
from services.order_queue import MAX_WAITING, OrderQueue
from services.service_bus_connection import ServiceBusConnection

from .conftest import until

ROOT = Path(__file__).parents[3]
QUEUES = {"orders": QueueConfig(duplicate_window_s=600), "plain": QueueConfig(), "small": QueueConfig(max_messages=1)}
HTTP_S = 2.5  # what a request has for Redis and the send (design: the defaults table)


class Clock:
    """Wall-clock time that a test can move on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class Credential:
    """A synchronous token credential whose tokens last `life_s` seconds by `clock`."""

    def __init__(self, clock: Callable[[], float] = time.time, life_s: float = 3600) -> None:
        self.clock, self.life_s, self.scopes = clock, life_s, list[str]()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        self.scopes += scopes
        self.may_answer.wait(20)
        return AccessToken(f"s3cret-token-{len(self.scopes)}", int(self.clock() + self.life_s))


def as_identity(broker: Broker, credential: Credential) -> ServiceBusConnection:
    options = {"use_tls": False}  # the local Service Bus speaks plain AMQP here; see its docstring
    return ServiceBusConnection(namespace=broker.address, credential=lambda: credential, options=options)  # type: ignore[arg-type, return-value]  # all of a TokenCredential that is used


def by_string(broker: Broker) -> ServiceBusConnection:
    return ServiceBusConnection(connection_string=broker.connection_string)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(QUEUES, require_tokens=True) as running:
        yield running


Open = Callable[..., OrderQueue]


@pytest.fixture
async def open_queue(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Open]:
    """Makes sessions; afterwards they have left no task, no thread of theirs, no socket and no unread exception."""
    caplog.set_level(logging.DEBUG)
    before, sockets = asyncio.all_tasks(), open_sockets()
    made: list[OrderQueue] = []

    def make(connection: ServiceBusConnection, name: str | None = "orders") -> OrderQueue:
        made.append(OrderQueue(connection, name))
        return made[-1]

    yield make
    for queue in made:
        await queue.aclose()
    await asyncio.sleep(0.01)  # aborted transports close their sockets in the loop's next turns
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}
    assert "service bus token" not in {thread.name for thread in threading.enumerate()}
    await until(lambda: open_sockets() <= sockets)
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio" and record.levelno > 20] == []


@pytest.fixture(params=["connection string", "identity"])
def connection(request: pytest.FixtureRequest, broker: Broker) -> ServiceBusConnection:
    return by_string(broker) if request.param == "connection string" else as_identity(broker, Credential())


def open_sockets() -> int:
    """How many sockets this process has open, those of the broker's thread included."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            count += str(link.readlink()).startswith("socket:")
    return count


async def stored(broker: Broker, name: str = "orders") -> list[ServiceBusReceivedMessage]:
    """What is on the queue, in its order."""
    async with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        receiver = client.get_queue_receiver(name, socket_timeout=0.02)
        async with receiver:
            found: list[ServiceBusReceivedMessage] = []
            while more := await receiver.peek_messages(500, sequence_number=len(found) + 1):
                found += more  # an answer holds 256 KB at most
            return found


def count(broker: Broker, name: str = "orders") -> int:
    return broker.stats(name)["active"]


# -- sending -----------------------------------------------------------------------------------------------------------
async def test_two_hundred_sends_at_once_are_all_stored_once_and_in_order_in_a_few_batches(
    broker: Broker, connection: ServiceBusConnection, open_queue: Open
) -> None:
    queue = open_queue(connection, "plain")
    await asyncio.gather(*(queue.send(f"order-{n}", b"{}", within_s=10) for n in range(200)))
    assert [message.message_id for message in await stored(broker, "plain")] == [f"order-{n}" for n in range(200)]
    assert queue.counters.batches <= 3
    assert (queue.counters.sent, queue.counters.opened, queue.counters.failures) == (200, 1, 0)


async def test_a_message_arrives_with_its_body_its_id_and_the_trace_context(
    broker: Broker, connection: ServiceBusConnection, open_queue: Open
) -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
    await open_queue(connection).send("order-1", b'{"order_id": "1"}', within_s=10, properties=trace)
    [message] = await stored(broker)
    assert (str(message), message.message_id) == ('{"order_id": "1"}', "order-1")
    assert message.content_type == "application/json"
    assert message.application_properties == {key.encode(): text.encode() for key, text in trace.items()}


async def test_building_the_session_connects_nothing(broker: Broker, open_queue: Open) -> None:
    open_queue(by_string(broker))
    await asyncio.sleep(0.05)
    assert broker.connections == 0


# -- deadlines ---------------------------------------------------------------------------------------------------------
async def test_a_message_whose_deadline_came_before_it_was_sent_is_withdrawn_for_good(open_queue: Open) -> None:
    port = free_port()
    broker = Broker(QUEUES, port=port)
    queue = open_queue(ServiceBusConnection(connection_string=broker.connection_string.replace(":0;", f":{port};")))
    with pytest.raises(MessageNotSent, match="ServiceBusConnectionError"):
        await queue.send("withdrawn", b"{}", within_s=0.5)
    with broker:
        await queue.send("second", b"{}", within_s=5)
        assert [message.message_id for message in await stored(broker)] == ["second"]


async def test_a_message_whose_deadline_came_before_its_confirmation_may_be_stored(
    broker: Broker, open_queue: Open
) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    broker.faults.delay_confirmations(0.5)
    with pytest.raises(MessageOutcomeUnknown):
        await queue.send("unconfirmed", b"{}", within_s=0.2)
    assert count(broker) == 2


async def test_cancelled_callers_that_still_waited_have_their_messages_withdrawn(
    broker: Broker, open_queue: Open
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
    assert [message.message_id for message in await stored(broker)] == ["first", "holding", "last"]


async def test_a_thousand_may_wait_and_the_next_one_fails_at_once(open_queue: Open) -> None:
    queue = open_queue(ServiceBusConnection(connection_string=Broker(QUEUES, port=free_port()).connection_string))
    waiting = [asyncio.create_task(queue.send(f"{n}", b"{}", within_s=30)) for n in range(MAX_WAITING)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):  # a contract bound: at once
        with pytest.raises(MessageNotSent, match="1000 messages are waiting"):
            await queue.send("one too many", b"{}", within_s=30)
    waiting[500].cancel()
    await asyncio.gather(waiting[500], return_exceptions=True)
    with pytest.raises(MessageNotSent, match="deadline"):
        await queue.send("in the place of one that gave up", b"{}", within_s=0.05)
    await queue.aclose()
    await asyncio.gather(*waiting, return_exceptions=True)


# -- a broker in trouble -----------------------------------------------------------------------------------------------
async def test_a_broker_that_is_killed_and_comes_back_is_used_again(open_queue: Open) -> None:
    with Broker(QUEUES) as first:
        queue = open_queue(by_string(first))
        await queue.send("before", b"{}", within_s=5)
    with pytest.raises(QueueUnavailable):
        await queue.send("while it is down", b"{}", within_s=0.3)
    with Broker(QUEUES, port=first.port) as second:
        await queue.send("after", b"{}", within_s=HTTP_S + 1)
        assert [message.message_id for message in await stored(second)] == ["after"]


async def test_a_broker_that_accepts_and_says_nothing_costs_the_deadline_and_no_more(
    broker: Broker, open_queue: Open
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
    assert {message.message_id for message in await stored(broker)} >= {"first", "last"}


async def test_after_a_forced_detach_the_next_send_is_stored_once_within_a_requests_time(
    broker: Broker, connection: ServiceBusConnection, open_queue: Open
) -> None:
    queue = open_queue(connection, "plain")
    await queue.send("first", b"{}", within_s=5)
    broker.faults.detach_links()
    await queue.send("second", b"{}", within_s=HTTP_S)
    assert [message.message_id for message in await stored(broker, "plain")] == ["first", "second"]


async def test_a_connection_cut_while_idle_costs_the_next_send_no_error(broker: Broker, open_queue: Open) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    broker.faults.cut_connections()
    await queue.send("second", b"{}", within_s=HTTP_S)
    assert [message.message_id for message in await stored(broker)] == ["first", "second"]


async def test_a_busy_broker_is_asked_again_on_the_same_link(broker: Broker, open_queue: Open) -> None:
    queue = open_queue(by_string(broker), "plain")
    broker.faults.refuse_sends(2)
    await asyncio.gather(*(queue.send(f"{n}", b"{}", within_s=5) for n in range(10)))
    assert [message.message_id for message in await stored(broker, "plain")] == [f"{n}" for n in range(10)]
    assert queue.counters.opened == 1


async def test_a_broker_that_stays_busy_is_asked_three_times_and_then_said_not_to_have_it(
    broker: Broker, open_queue: Open
) -> None:
    queue = open_queue(by_string(broker))
    broker.faults.refuse_sends(3)
    with pytest.raises(MessageNotSent, match="ServerBusy"):
        await queue.send("refused", b"{}", within_s=20)
    await queue.send("next", b"{}", within_s=5)
    assert [message.message_id for message in await stored(broker)] == ["next"]


async def test_a_full_queue_is_said_to_have_refused_the_message(broker: Broker, open_queue: Open) -> None:
    queue = open_queue(by_string(broker), "small")
    await queue.send("first", b"{}", within_s=5)
    with pytest.raises(MessageNotSent, match="Quota"):
        await queue.send("second", b"{}", within_s=5)


async def test_a_lost_confirmation_is_repeated_under_the_same_id_and_leaves_one_copy(
    broker: Broker, connection: ServiceBusConnection, open_queue: Open
) -> None:
    queue = open_queue(connection)
    await queue.send("first", b"{}", within_s=5)
    broker.faults.cut_after_storing(1)
    await queue.send("second", b"{}", within_s=5)
    assert [message.message_id for message in await stored(broker)] == ["first", "second"]
    assert broker.stats("orders")["duplicates"] == 1


async def test_confirmations_that_stay_lost_leave_the_outcome_unknown_after_three_attempts(
    broker: Broker, open_queue: Open
) -> None:
    queue = open_queue(by_string(broker))
    broker.faults.cut_after_storing(3)
    with pytest.raises(MessageOutcomeUnknown):
        await queue.send("unconfirmed", b"{}", within_s=20)
    assert count(broker) == 1
    assert broker.stats("orders")["duplicates"] == 2


async def test_a_refusal_after_an_attempt_that_may_have_been_stored_does_not_hide_it(
    broker: Broker, open_queue: Open
) -> None:
    queue = open_queue(by_string(broker))
    broker.faults.cut_after_storing(1)
    sending = asyncio.create_task(queue.send("stored", b"{}", within_s=20))
    await until(lambda: count(broker) == 1)
    broker.faults.refuse_sends(2)
    with pytest.raises(MessageOutcomeUnknown, match="ServerBusy"):
        await sending


async def test_an_unknown_queue_is_said_long_before_the_deadline(broker: Broker, open_queue: Open) -> None:
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
    broker: Broker, open_queue: Open, message_id: str, body: bytes, properties: dict[str, str]
) -> None:
    queue = open_queue(by_string(broker))
    outcomes = await asyncio.gather(
        queue.send("before", b"{}", within_s=5),
        queue.send(message_id, body, within_s=30, properties=properties),
        queue.send("after", b"{}", within_s=5),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), MessageNotSent, type(None)]
    assert [message.message_id for message in await stored(broker)] == ["before", "after"]


async def test_more_than_fits_one_batch_goes_in_several(broker: Broker, open_queue: Open) -> None:
    queue = open_queue(by_string(broker))
    await asyncio.gather(*(queue.send(f"{n}", b"x" * 100_000, within_s=10) for n in range(6)))
    assert [message.message_id for message in await stored(broker)] == [f"{n}" for n in range(6)]
    assert queue.counters.batches == 3


async def test_a_batch_refused_for_its_size_is_sent_message_by_message(broker: Broker, open_queue: Open) -> None:
    queue = open_queue(by_string(broker), "plain")
    await queue.send("first", b"{}", within_s=5)
    broker.faults.refuse_sends(1, "amqp:link:message-size-exceeded")
    await asyncio.gather(*(queue.send(f"{n}", b"{}", within_s=5) for n in range(5)))
    assert [message.message_id for message in await stored(broker, "plain")] == ["first", *map(str, range(5))]
    assert queue.counters.batches == 6


# -- tokens ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for the broker, the credential and the SDK's look at its token."""
    from azure.servicebus._pyamqp import cbs, utils
    from azure.servicebus._pyamqp.aio import _cbs_async

    made = Clock()
    for module in (cbs, _cbs_async):
        monkeypatch.setattr(module, "utc_now", lambda: utils.utc_from_timestamp(made()))
    return made


async def test_an_identity_puts_a_jwt_for_the_queue_and_asks_for_service_buss_scope(
    broker: Broker, open_queue: Open
) -> None:
    credential = Credential()
    await open_queue(as_identity(broker, credential)).send("1", b"{}", within_s=5)
    assert {put.token_type for put in broker.put_tokens} == {"jwt"}
    assert all(put.audience.endswith("/orders") for put in broker.put_tokens)
    assert credential.scopes == ["https://servicebus.azure.net//.default"]


async def test_a_token_about_to_run_out_is_renewed_on_the_open_link(clock: Clock, open_queue: Open) -> None:
    with Broker(QUEUES, require_tokens=True, clock=clock) as broker:
        credential = Credential(clock, life_s=3600)
        queue = open_queue(as_identity(broker, credential))
        await queue.send("1", b"{}", within_s=5)
        clock.ahead_s = 3400
        await queue.send("2", b"{}", within_s=5)
        clock.ahead_s = 3700  # past the first token
        await queue.send("3", b"{}", within_s=5)
        assert (broker.put_token_count, queue.counters.opened, len(credential.scopes)) == (2, 1, 2)


async def test_after_a_token_ran_out_on_an_idle_link_the_next_send_opens_with_a_fresh_one(
    clock: Clock, open_queue: Open
) -> None:
    with Broker(QUEUES, require_tokens=True, clock=clock) as broker:
        queue = open_queue(as_identity(broker, Credential(clock, life_s=3600)), "plain")
        await queue.send("1", b"{}", within_s=5)
        clock.ahead_s = 4000
        await queue.send("2", b"{}", within_s=HTTP_S)
        assert [put.token_type for put in broker.put_tokens] == ["jwt", "jwt"]
        assert count(broker, "plain") == 2


async def test_a_first_token_slower_than_an_attempt_to_open_is_used_by_the_next_attempt(
    broker: Broker, open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_bus_connection, "TRY_S", 1.0)
    credential = Credential()
    credential.may_answer.clear()
    queue = open_queue(as_identity(broker, credential))
    sending = asyncio.create_task(queue.send("1", b"{}", within_s=20))
    await until(lambda: len(credential.scopes) == 1)
    await until(lambda: queue._owner is not None and queue._owner.last_error == "OperationTimeoutError")
    credential.may_answer.set()
    await sending
    assert len(credential.scopes) == 1


# -- life --------------------------------------------------------------------------------------------------------------
async def test_broken_connections_leave_no_socket_behind_without_the_collector(
    broker: Broker, open_queue: Open
) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    await until(lambda: broker.connections == 1)
    sockets = open_sockets()
    gc.disable()
    try:
        for n in range(5):
            broker.faults.cut_connections()
            await queue.send(f"{n}", b"{}", within_s=5)
        await until(lambda: open_sockets() <= sockets)
    finally:
        gc.enable()


async def test_opens_that_a_mute_broker_never_answers_leave_no_socket_behind_without_the_collector(
    broker: Broker, open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_bus_connection, "TRY_S", 0.2)
    monkeypatch.setattr(order_queue, "TRY_S", 0.2)
    queue = open_queue(by_string(broker))
    sockets = open_sockets()
    broker.faults.mute()
    gc.disable()
    try:
        with pytest.raises(MessageNotSent):
            await queue.send("1", b"{}", within_s=1.5)
        await queue.aclose()
        broker.faults.unmute()
        await until(lambda: open_sockets() <= sockets)
    finally:
        gc.enable()


async def test_closing_fails_who_waits_at_once_and_a_later_send_opens_again(broker: Broker, open_queue: Open) -> None:
    queue = open_queue(by_string(broker))
    await queue.send("first", b"{}", within_s=5)
    broker.faults.delay_confirmations(0.3)
    sending = asyncio.create_task(queue.send("being sent", b"{}", within_s=60))
    await until(lambda: count(broker) == 2)
    waiting = asyncio.create_task(queue.send("waiting", b"{}", within_s=60))
    await asyncio.sleep(0)
    await queue.aclose()
    outcomes = await asyncio.gather(sending, waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [MessageOutcomeUnknown, MessageNotSent]
    await until(lambda: broker.connections == 0)
    await queue.send("later", b"{}", within_s=5)


def test_another_event_loop_gets_a_sender_of_its_own(broker: Broker) -> None:
    queue = OrderQueue(by_string(broker), "orders")

    async def close() -> None:
        await queue.send("3", b"{}", within_s=5)
        await queue.aclose()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the first two loops end with their connection open
        asyncio.run(queue.send("1", b"{}", within_s=5))
        asyncio.run(queue.send("2", b"{}", within_s=5))
        asyncio.run(close())
        gc.collect()
    assert count(broker) == 3


@pytest.mark.parametrize("text", ["nonsense", "Endpoint=sb://h/;SharedAccessKey=s3cret", ""])
async def test_a_connection_string_of_no_use_is_a_bad_setting_and_never_shown(open_queue: Open, text: str) -> None:
    with pytest.raises(BadSetting) as caught:
        await open_queue(ServiceBusConnection(connection_string=text)).send("1", b"{}", within_s=5)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_a_missing_connection_or_queue_name_is_a_bad_setting(broker: Broker, open_queue: Open) -> None:
    with pytest.raises(BadSetting, match="ServiceBusConnection"):
        await open_queue(ServiceBusConnection()).send("1", b"{}", within_s=5)
    with pytest.raises(BadSetting, match="ORDERS_QUEUE"):
        await open_queue(by_string(broker), None).send("1", b"{}", within_s=5)


async def test_no_key_and_no_token_in_our_logs_our_errors_or_a_repr(
    broker: Broker, open_queue: Open, caplog: pytest.LogCaptureFixture
) -> None:
    key = "s3cret-key"
    keyed = ServiceBusConnection(connection_string=broker.connection_string.replace("Key=local", f"Key={key}"))
    shown = ""
    for connection in (keyed, as_identity(broker, Credential())):
        queue = open_queue(connection)
        await queue.send("1", b"{}", within_s=5)
        broker.faults.cut_connections()
        broker.faults.mute()
        with pytest.raises(QueueUnavailable) as caught:
            await queue.send("2", b"{}", within_s=0.3)
        broker.faults.unmute()
        shown += "".join(traceback.format_exception(caught.value)) + repr(queue) + repr(connection)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("services.")]
    assert ours
    assert "s3cret" not in shown + "".join(ours)


IMPORT = """
import asyncio, sys, threading

importers = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "azure.servicebus":
            importers.append(threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watch())
from services.order_queue import OrderQueue
from services.service_bus_connection import ServiceBusConnection
import services.app_services
assert not [name for name in sys.modules if name.startswith("azure.servicebus") or name.startswith("azure.identity")]

async def main():
    queue = OrderQueue(ServiceBusConnection(connection_string=sys.argv[1]), "orders")
    assert not importers
    await queue.send("1", b"{}", within_s=20)
    await queue.aclose()

asyncio.run(main())
print(importers)
"""


async def test_the_sdk_is_imported_at_the_first_send_and_not_on_the_event_loops_thread(broker: Broker) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", IMPORT, broker.connection_string],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.strip() == "[False]", done.stderr
