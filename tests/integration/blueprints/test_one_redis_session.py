"""The three blueprints share one Redis session, held at module scope, which reconnects when a ping fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import ModuleType

import pytest

from blueprints import drops, fulfilment, orders
from lab.azure.redis_server import RedisServer
from services import app_services
from services.redis_session import Clocks, RedisService, RedisUnavailable
from services.settings import load_settings
from tests.integration.blueprints.worker import Worker
from tests.integration.services.conftest import recovered
from tests.integration.services.tickets.shop import DROP


@pytest.mark.parametrize("blueprint", [drops, orders, fulfilment], ids=lambda module: module.__name__)
def test_the_session_is_held_at_module_scope_and_the_blueprint_uses_that_module(blueprint: ModuleType) -> None:
    assert isinstance(app_services.shared.redis_service, RedisService)
    assert vars(blueprint)["app_services"] is app_services


async def test_all_three_blueprints_reach_the_one_redis_service(worker: Worker) -> None:
    redis_service = app_services.shared.redis_service
    used = [redis_service.counters.commands]
    await worker.put_drop()
    used.append(redis_service.counters.commands)
    await worker.place_order()
    used.append(redis_service.counters.commands)
    await worker.fulfil({"order_id": "o", "drop_id": DROP, "customer_id": "c", "quantity": 1})
    used.append(redis_service.counters.commands)
    assert used == sorted(set(used))
    assert redis_service.counters.connections_opened == 1


async def test_a_failed_ping_replaces_the_client() -> None:
    with RedisServer(appendonly=False) as server:
        session = RedisService(server.url, clocks=Clocks(ping_s=0.2, connect_s=0.5, idle_check_s=0))
        first = await session.healthy_client()
        server.pause()
        with pytest.raises(RedisUnavailable):
            await session.ping(0.5)
        server.resume()
        await recovered(session)
        assert await session.healthy_client() is not first
        assert session.counters.recreates >= 1
        await session.aclose()


async def test_a_composition_of_ones_own_takes_the_place_of_the_shared_one(
    worker: Worker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = app_services.build(load_settings({"REDIS_URL": redis_url, "ORDERS_QUEUE": "orders"}))
    monkeypatch.setattr(app_services, "shared", replace(own, queue_service=app_services.shared.queue_service))
    await worker.put_drop()
    assert own.redis_service.counters.commands == 1
    await asyncio.gather(own.redis_service.aclose(), own.queue_service.aclose())
