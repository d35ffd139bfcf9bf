"""How the Service Bus session signs in, stays signed in, and ends, with the real SDK."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import traceback
import warnings

import pytest

from lab.azure.service_bus import Broker
from services.queue_session import MessageNotSent, MessageOutcomeUnknown, QueueNotConfigured, QueueUnavailable
from services.queue_session import connection as service_bus_connection
from services.queue_session import queue_service as order_queue
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from tests import ROOT
from tests.integration.services.queue_session.bus import (
    HTTP_S,
    QUEUES,
    Clock,
    Credential,
    OpenQueue,
    as_identity,
    by_string,
    count,
    open_sockets,
)
from tests.waiting import until


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
    broker: Broker, open_queue: OpenQueue
) -> None:
    credential = Credential()
    await open_queue(as_identity(broker, credential)).send("1", b"{}", within_s=5)
    assert {put.token_type for put in broker.put_tokens} == {"jwt"}
    assert all(put.audience.endswith("/orders") for put in broker.put_tokens)
    assert credential.scopes == ["https://servicebus.azure.net//.default"]


async def test_a_link_opens_as_fast_as_the_broker_answers(
    connection: ServiceBusConnection, open_queue: OpenQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK by itself sleeps 50 ms after each step, half a second in all, which the first order would wait."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted_sleep(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(service_bus_connection, "READ_S", 10.0)
    monkeypatch.setattr(asyncio, "sleep", noted_sleep)
    await open_queue(connection).send("m", b"{}", within_s=30)
    assert 0.05 not in slept


async def test_a_token_about_to_run_out_is_renewed_on_the_open_link(clock: Clock, open_queue: OpenQueue) -> None:
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
    clock: Clock, open_queue: OpenQueue
) -> None:
    with Broker(QUEUES, require_tokens=True, clock=clock) as broker:
        queue = open_queue(as_identity(broker, Credential(clock, life_s=3600)), "plain")
        await queue.send("1", b"{}", within_s=5)
        clock.ahead_s = 4000
        await queue.send("2", b"{}", within_s=HTTP_S)
        assert [put.token_type for put in broker.put_tokens] == ["jwt", "jwt"]
        assert count(broker, "plain") == 2


async def test_a_first_token_slower_than_an_attempt_to_open_is_used_by_the_next_attempt(
    broker: Broker, open_queue: OpenQueue, monkeypatch: pytest.MonkeyPatch
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


async def test_broken_connections_leave_no_socket_behind_without_the_collector(
    broker: Broker, open_queue: OpenQueue
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
    broker: Broker, open_queue: OpenQueue, monkeypatch: pytest.MonkeyPatch
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


async def test_closing_fails_those_who_wait_and_a_later_send_opens_again(broker: Broker, open_queue: OpenQueue) -> None:
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
    queue = QueueService(by_string(broker), "orders")

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
async def test_a_connection_string_of_no_use_is_a_bad_setting_and_never_shown(open_queue: OpenQueue, text: str) -> None:
    with pytest.raises(QueueNotConfigured) as caught:
        await open_queue(ServiceBusConnection(connection_string=text)).send("1", b"{}", within_s=5)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_a_missing_connection_or_queue_name_is_a_bad_setting(broker: Broker, open_queue: OpenQueue) -> None:
    with pytest.raises(QueueNotConfigured, match="the Service Bus connection"):
        await open_queue(ServiceBusConnection()).send("1", b"{}", within_s=5)
    with pytest.raises(QueueNotConfigured, match="the queue name"):
        await open_queue(by_string(broker), None).send("1", b"{}", within_s=5)


async def test_no_key_and_no_token_in_our_logs_our_errors_or_a_repr(
    broker: Broker, open_queue: OpenQueue, caplog: pytest.LogCaptureFixture
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
from services.queue_session.queue_service import QueueService
from services.queue_session.connection import ServiceBusConnection
import services.app_services
assert not [name for name in sys.modules if name.startswith("azure.servicebus") or name.startswith("azure.identity")]

async def main():
    queue = QueueService(ServiceBusConnection(connection_string=sys.argv[1]), "orders")
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
        timeout=120,
    )
    assert done.stdout.strip() == "[False]", done.stderr
