"""Health, readiness and openapi.json: what they do, what they cost, and that they say no more than they must."""

import asyncio

import pytest

from lab.azure.redis_server import free_port
from services import readiness
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from services.redis_session.redis_service import RedisService

from .worker import Worker, install

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
    assert (answer.status, answer.document) == (503, {"status": "unavailable", "reason": "Redis does not answer"})
    await session.aclose()


async def test_ready_is_503_with_the_setting_that_is_bad(monkeypatch: pytest.MonkeyPatch, worker: Worker) -> None:
    install(monkeypatch, RedisService(None), NO_QUEUE, problems=("HOLD_S: is bad", "REDIS_URL: is missing"))
    answer = await worker.ready()
    expected = {"status": "unavailable", "reason": "HOLD_S: is bad; REDIS_URL: is missing"}
    assert (answer.status, answer.document) == (503, expected)


async def test_many_who_ask_ready_at_once_share_one_ping(
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
