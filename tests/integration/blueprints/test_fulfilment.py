"""fulfil_order itself: what it decides, what it raises for good, and how long it waits for Redis."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from azure.functions.servicebus import ServiceBusMessage
from redis.asyncio import Redis

from blueprints import fulfilment
from lab.azure.redis_server import RedisServer, free_port
from lab.azure.service_bus import Broker
from lab.azure.service_bus.config import load
from services import telemetry
from services.errors import Undecidable
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from services.redis_session import MultiplexedRedis, RedisNotConfigured, RedisUnavailable
from services.redis_session.redis_service import RedisService
from services.telemetry.otel_spans import OtelSpans
from tests import ROOT
from tests.integration.blueprints.worker import Worker, fulfil, install, queue_on
from tests.integration.services.tickets.shop import DROP, snapshot

MESSAGE = {"order_id": "o", "drop_id": DROP, "customer_id": "ann", "quantity": 2}
SECRET = "hunter2"
NO_QUEUE = QueueService(ServiceBusConnection(), None)


async def test_a_message_made_by_hand_of_four_fields_is_decided(worker: Worker) -> None:
    await worker.put_drop()
    await worker.fulfil(MESSAGE)
    assert (await worker.get_order("o")).document["status"] == "confirmed"


async def test_a_message_delivered_again_returns_and_changes_nothing(worker: Worker) -> None:
    await worker.put_drop()
    await worker.fulfil(MESSAGE)
    before = await snapshot(worker.redis)
    await worker.fulfil(MESSAGE, "another message id")
    assert await snapshot(worker.redis) == before


async def test_a_refusal_is_a_decision_not_an_error(worker: Worker) -> None:
    await worker.put_drop(stock=1)
    await worker.fulfil(MESSAGE)
    assert (await worker.get_order("o")).document["reason"] == "sold_out"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(f"not json {SECRET}".encode(), "not JSON", id="no JSON"),
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="no UTF-8"),
        pytest.param(b"[" * 20_000, "body: is n", id="deep"),  # nested too deeply; Python 3.14 goes deeper: not JSON
        pytest.param(f'["{SECRET}"]'.encode(), "body: Input should be an object", id="list"),
        pytest.param(b'{"order_id": "o"}', "drop_id: Field required", id="fields missing"),
        pytest.param(json.dumps(MESSAGE | {"quantity": SECRET}).encode(), "quantity: ", id="wrong type"),
        pytest.param(json.dumps(MESSAGE | {"quantity": 101}).encode(), "quantity: ", id="out of range"),
        pytest.param(json.dumps(MESSAGE | {"order_id": f"{SECRET} {SECRET}"}).encode(), "order_id: ", id="odd id"),
        pytest.param(json.dumps(MESSAGE)[:-1].encode() + b', "quantity": 3}', "occurs twice", id="duplicate key"),
        pytest.param(json.dumps(MESSAGE | {"drop_id": "nowhere"}).encode(), "no drop nowhere", id="unknown drop"),
        pytest.param(json.dumps(MESSAGE | {"order_id": "known"}).encode(), "differs from its record", id="mismatch"),
    ],
)
async def test_a_message_that_can_never_succeed_raises_with_its_reason_logged_and_writes_nothing(
    worker: Worker, caplog: pytest.LogCaptureFixture, body: bytes, reason: str
) -> None:
    await worker.put_drop()
    await worker.fulfil({**MESSAGE, "order_id": "known", "quantity": 1})
    before = await snapshot(worker.redis)
    with pytest.raises(Undecidable, match=reason) as caught:
        await worker.fulfil(body, "message-7")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert reason in record.getMessage()
    assert "message-7" in record.getMessage()
    assert SECRET not in f"{record.getMessage()} {caught.value}"
    assert await snapshot(worker.redis) == before


@pytest.mark.parametrize("delivery", range(1, 11))
async def test_a_poison_message_tells_its_reason_in_one_frame_and_logs_it_on_the_first_delivery_and_the_last(
    worker: Worker, caplog: pytest.LogCaptureFixture, delivery: int
) -> None:
    message = ServiceBusMessage(
        body=b"[", message_id="m", delivery_count=delivery, application_properties={}, user_properties={}
    )
    with pytest.raises(Undecidable, match=r"message 'm' can never succeed .*: not an order message") as caught:
        await fulfil(message)
    app_s = [frame for frame in traceback.extract_tb(caught.tb) if "/tests/" not in frame.filename]
    assert [frame.name for frame in app_s] == ["fulfil_order"]
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert len(caplog.records) == (delivery in (1, 10))


def test_the_last_delivery_is_the_queue_s_own_here_and_in_the_template() -> None:
    assert load()["orders"].max_delivery_count == fulfilment.MOST_DELIVERIES
    template = (ROOT / "infra/modules/service-bus.bicep").read_text()
    assert f"maxDeliveryCount: {fulfilment.MOST_DELIVERIES}\n" in template


async def test_a_made_up_field_name_or_message_id_cannot_forge_a_log_line(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Undecidable):
        await worker.fulfil(b'{"a\\nERROR": 1, "a\\nERROR": 2}', "m\nERROR")
    assert all("\n" not in record.getMessage() for record in caplog.records)


async def test_the_lines_of_an_invocation_carry_its_id_and_those_of_the_order(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "services.blueprints")
    await worker.put_drop()
    await worker.fulfil(MESSAGE)
    with pytest.raises(Undecidable):
        await worker.fulfil(MESSAGE | {"quantity": 3})
    with pytest.raises(Undecidable):
        await worker.fulfil(b"not json")
    names = ("invocation_id", "order_id", "drop_id", "outcome")
    assert [[getattr(record, name, None) for name in names] for record in caplog.records] == [
        ["id", "o", DROP, "confirmed"],
        ["id", "o", DROP, None],
        ["id", None, None, None],
    ]


@pytest.mark.parametrize("value", [1, b"x", None, ["00"], {"a": 1}, f"00-{SECRET}"], ids=repr)
async def test_whatever_a_message_s_trace_properties_hold_it_is_decided(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    monkeypatch.setattr(telemetry, "spans", OtelSpans())
    await worker.put_drop()
    properties = {"traceparent": value, "tracestate": value, "Diagnostic-Id": value}
    body = json.dumps(MESSAGE).encode()
    await fulfil(ServiceBusMessage(body=body, message_id="m", application_properties=properties, user_properties={}))
    assert (await worker.get_order("o")).document["status"] == "confirmed"


async def test_what_can_never_succeed_does_not_wait_for_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, RedisService(None), NO_QUEUE, patience_s=3600)
    with pytest.raises(Undecidable):
        await Worker.fulfil(b"not json")


# --- Redis away -------------------------------------------------------------------------------------------------------
async def test_without_redis_a_message_raises_after_the_patience_so_that_it_is_delivered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = RedisService(f"redis://:{SECRET}@127.0.0.1:{free_port()}/0")
    install(monkeypatch, session, NO_QUEUE, patience_s=0.3)
    with pytest.raises(RedisUnavailable) as caught:
        await Worker.fulfil(MESSAGE)
    assert SECRET not in str(caught.value)
    await session.aclose()


async def test_without_a_redis_setting_a_message_waits_its_patience_and_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    class Counting(RedisService):
        async def healthy_client(self, *, patient: bool = True) -> MultiplexedRedis:
            nonlocal attempts
            attempts += 1
            return await super().healthy_client(patient=patient)

    install(monkeypatch, Counting(None), NO_QUEUE, patience_s=0.3)
    with pytest.raises(RedisNotConfigured):
        await Worker.fulfil(MESSAGE)
    assert attempts > 1


async def test_a_message_waits_while_redis_refuses_the_app_s_scripts(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = RedisService(own_redis.url.replace("//", "//app:secret@"))
    install(monkeypatch, session, NO_QUEUE, patience_s=40)
    with redis.Redis.from_url(own_redis.url) as admin, Broker() as broker:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
        async with Redis.from_url(own_redis.url) as client:
            worker = Worker(client, broker)
            await worker.put_drop()
            admin.execute_command("ACL", "SETUSER", "app", "-evalsha", "-eval")
            answer = await worker.put_drop()
            assert (answer.status, "Retry-After" in answer.headers) == (503, True)
            ready = await worker.ready()
            assert (ready.status, ready.document["reason"]) == (503, "Redis does not permit a command")
            message = asyncio.create_task(worker.fulfil(MESSAGE))
            await asyncio.sleep(0.3)
            assert not message.done()
            admin.execute_command("ACL", "SETUSER", "app", "+evalsha", "+eval")
            await message
            assert (await worker.get_order("o")).document["status"] == "confirmed"
    assert [record.getMessage() for record in caplog.records if "put_drop answers 503" in record.getMessage()]
    await session.aclose()


async def test_a_script_s_error_that_only_the_app_could_explain_is_a_503_and_the_message_waits(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = RedisService(own_redis.url)
    install(monkeypatch, session, NO_QUEUE, patience_s=0.3)
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.set(f"{{drop:{DROP}}}:meta", "of another kind")  # WRONGTYPE
        with pytest.raises(RedisUnavailable, match="WRONGTYPE"):
            await Worker.fulfil(MESSAGE)
    await session.aclose()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(data_dir=tmp_path, appendfsync="always") as server:
        yield server


async def test_a_message_that_came_while_redis_was_down_is_decided_when_it_is_back(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = RedisService(own_redis.url)
    install(monkeypatch, session, NO_QUEUE, patience_s=40)
    with Broker() as broker:
        async with Redis.from_url(own_redis.url) as client:
            worker = Worker(client, broker)
            await worker.put_drop()
            own_redis.kill()
            deciding = asyncio.create_task(Worker.fulfil(MESSAGE))
            await _until_it_failed_once(session)
            await asyncio.to_thread(own_redis.restart)
            await deciding
            assert (await worker.get_order("o")).document["status"] == "confirmed"
    await session.aclose()


async def _until_it_failed_once(session: RedisService) -> None:
    async with asyncio.timeout(20):
        while session.counters.recreates == 0:  # noqa: ASYNC110 - the session offers no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:1/0"], ids=["no setting", "nobody there"])
async def test_without_redis_every_http_function_answers_503_with_retry_after(
    monkeypatch: pytest.MonkeyPatch, broker: Broker, redis_url: str, url: str | None
) -> None:
    session, queue = RedisService(url), queue_on(broker)
    install(monkeypatch, session, queue)
    async with Redis.from_url(redis_url) as client:
        worker = Worker(client, broker)
        calls: list[Any] = [worker.put_drop(), worker.get_drop(), worker.place_order(), worker.get_order("o")]
        answers = await asyncio.gather(*calls)
    assert [answer.status for answer in answers] == [503] * 4
    assert all(1 <= int(answer.headers["Retry-After"]) <= 5 for answer in answers)
    assert worker.waiting() == 0
    await queue.aclose()
    await session.aclose()
