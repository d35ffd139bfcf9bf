"""Health, readiness and openapi.json: what they do, what they cost, and that they say no more than they must."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from lab.azure.redis_server import free_port
from services import app_services, readiness
from services.errors import Undecidable
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from services.redis_session.redis_service import RedisService
from services.settings import load_settings
from tests.integration.blueprints.worker import Worker, install

SECRET = "hunter2"
NO_QUEUE = QueueService(ServiceBusConnection(), None)


async def test_health_is_200_without_redis(monkeypatch: pytest.MonkeyPatch, worker: Worker) -> None:
    session = RedisService(f"redis://127.0.0.1:{free_port()}/0")
    install(monkeypatch, session, NO_QUEUE)
    answer = await worker.health()
    assert (answer.status, answer.document) == (200, {"status": "ok", "reason": None})
    assert session.counters.commands == 0


async def test_ready_is_200_when_redis_answers(worker: Worker) -> None:
    answer = await worker.ready()
    assert (answer.status, answer.document) == (200, {"status": "ready", "reason": None})


async def test_ready_is_503_with_the_reason_alone_when_redis_does_not(
    monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    session = RedisService(f"redis://:{SECRET}@127.0.0.1:{free_port()}/0")
    install(monkeypatch, session, NO_QUEUE)
    answer = await worker.ready()
    assert (answer.status, answer.document) == (
        503,
        {"status": "unavailable", "reason": "Redis: the connection is refused"},
    )
    await session.aclose()


async def test_ready_is_503_with_the_names_of_the_settings_that_are_bad_and_nothing_else_about_them(
    monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    budget = "Redis connection budget exceeded: Basic_C0 allows 256 clients"
    problems = ("HOLD_S: is bad", "REDIS_URL: write rediss://cache.example", budget)
    install(monkeypatch, RedisService(None), NO_QUEUE, problems=problems)
    answer = await worker.ready()
    named = "HOLD_S, REDIS_URL, Redis connection budget exceeded"
    expected = {"status": "unavailable", "reason": f"Bad app setting: {named}; the log says what is wrong"}
    assert (answer.status, answer.document) == (503, expected)


async def test_a_bad_setting_is_logged_once_in_the_first_invocation_of_any_function(
    monkeypatch: pytest.MonkeyPatch, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [worker.ready, worker.get_drop, partial(worker.fulfil, b"")]
    for first in calls:
        caplog.clear()
        install(monkeypatch, RedisService(None), NO_QUEUE, problems=("HOLD_S: is bad", "ORDERS_QUEUE: is missing"))
        for call in (first, *calls):
            with contextlib.suppress(Undecidable):
                await call()
        lines = [one.getMessage() for one in caplog.records if one.getMessage().startswith("Bad app")]
        assert lines == ["Bad app setting: HOLD_S: is bad", "Bad app setting: ORDERS_QUEUE: is missing"]


async def test_ready_is_503_while_service_bus_takes_nothing_and_200_once_it_does(
    monkeypatch: pytest.MonkeyPatch, worker: Worker, redis_url: str
) -> None:
    environment = {"REDIS_URL": redis_url, "ServiceBusConnection": worker.broker.connection_string}
    services = app_services.build(load_settings(environment | {"ORDERS_QUEUE": "orders"}))
    monkeypatch.setattr(app_services, "shared", services)
    await worker.put_drop()
    worker.broker.stop()
    assert (await worker.ready()).status == 200  # it never asks by itself
    assert (await worker.place_order()).status == 503
    answer = await worker.ready()
    assert (answer.status, answer.document["reason"]) == (503, "Service Bus takes no messages")
    worker.broker.start()
    assert (await worker.placed()).status == 202
    assert (await worker.ready()).status == 200
    await services.queue_service.aclose()
    await services.redis_service.aclose()


async def test_many_readiness_checks_at_once_share_one_ping(
    monkeypatch: pytest.MonkeyPatch, worker: Worker, redis_url: str
) -> None:
    session = RedisService(redis_url)
    install(monkeypatch, session, NO_QUEUE)
    answers = await asyncio.gather(*(worker.ready() for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert session.counters.commands == 1
    await session.aclose()


@pytest.mark.parametrize(("cache_s", "pings"), [(3600.0, 1), (0.0, 3)])
async def test_ready_asks_redis_again_only_when_its_answer_is_older_than_the_cache(
    monkeypatch: pytest.MonkeyPatch, worker: Worker, redis_url: str, cache_s: float, pings: int
) -> None:
    monkeypatch.setattr(readiness, "CACHE_S", cache_s)
    session = RedisService(redis_url)
    install(monkeypatch, session, NO_QUEUE)
    for _ in range(3):
        assert (await worker.ready()).status == 200
    assert session.counters.commands == pings
    await session.aclose()


def test_ready_is_cached_for_1_second() -> None:
    assert readiness.CACHE_S == 1.0


async def test_openapi_json_is_200_with_the_document_and_asks_redis_nothing(
    monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    session = RedisService(None)
    install(monkeypatch, session, NO_QUEUE, problems=("REDIS_URL: is missing",))
    answer = await worker.openapi()
    assert (answer.status, answer.media_type) == (200, "application/json")
    assert answer.document["openapi"] == "3.1.0"
