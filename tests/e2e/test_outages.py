"""Redis or Service Bus goes away under a running app and comes back: 503s meanwhile, nothing lost, no restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lab.azure.redis_server import RedisServer
from lab.azure.service_bus import Broker
from tests.e2e.shop import decided, order, put_drop
from tests.running_lab import Lab, running_lab
from tests.waiting import wait_until

pytestmark = pytest.mark.own_lab("it stops the servers that the app needs")


@dataclass(frozen=True)
class Shop:
    """The app on servers that the test holds."""

    lab: Lab
    api: httpx.Client
    redis: RedisServer
    bus: Broker


@contextmanager
def shop_in(folder: Path, **environment: str) -> Iterator[Shop]:
    """A lab on a Redis that keeps what it acknowledged."""
    with (
        RedisServer(appendfsync="always") as redis,
        Broker() as bus,
        running_lab(folder, "--redis", redis.url, "--service-bus", bus.connection_string, **environment) as lab,
        httpx.Client(base_url=f"{lab.url}/api", timeout=5) as api,  # an answer is due within 3 s
    ):
        yield Shop(lab, api, redis, bus)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for all: it recovers from each outage, or the next test fails."""
    with shop_in(tmp_path_factory.mktemp("lab")) as shop:
        yield shop


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert 1 <= int(answer.headers["Retry-After"]) <= 5
    assert answer.json()["status"] == 503
    assert "127.0.0.1" not in answer.text


def ready_again(api: httpx.Client) -> None:
    wait_until(lambda: api.get("/health/ready").status_code == 200)


def test_redis_dies_and_returns(shop: Shop, drop_id: str) -> None:
    put_drop(shop.api, drop_id, 10)
    shop.redis.kill()
    assert_unavailable(order(shop.api, drop_id, "ada"))
    assert_unavailable(shop.api.get(f"/drops/{drop_id}"))
    assert shop.api.get("/health").status_code == 200
    assert shop.api.get("/health/ready").json() == {
        "status": "unavailable",
        "reason": "Redis: the connection is refused",
    }
    body = {"order_id": "meanwhile", "drop_id": drop_id, "customer_id": "bob", "quantity": 1}
    shop.lab.command("enqueue", json.dumps(body))
    shop.redis.restart()
    ready_again(shop.api)
    assert decided(shop.api, drop_id, "meanwhile")["status"] == "confirmed"
    assert order(shop.api, drop_id, "ada").status_code == 202


def test_a_paused_redis_is_answered_for_with_503(shop: Shop, drop_id: str) -> None:
    put_drop(shop.api, drop_id, 10)
    shop.redis.pause()
    assert_unavailable(order(shop.api, drop_id, "ada"))
    shop.redis.resume()
    ready_again(shop.api)
    assert order(shop.api, drop_id, "ada").status_code == 202


def test_a_mute_service_bus_is_answered_for_with_503(shop: Shop, drop_id: str) -> None:
    put_drop(shop.api, drop_id, 1)
    shop.bus.faults.mute()
    assert_unavailable(order(shop.api, drop_id, "ada"))
    shop.bus.faults.unmute()
    wait_until(lambda: order(shop.api, drop_id, "ada").status_code != 503)


def test_service_bus_dies_and_the_repeated_request_finishes_the_order(shop: Shop, drop_id: str) -> None:
    put_drop(shop.api, drop_id, 1)
    shop.bus.stop()
    refused = order(shop.api, drop_id, "ada")
    assert_unavailable(refused)
    recorded = shop.api.get(refused.headers["Location"].removeprefix("/api"))
    assert recorded.json()["status"] == "queued"
    shop.bus.start()
    wait_until(lambda: order(shop.api, drop_id, "ada").status_code != 503)
    placed = order(shop.api, drop_id, "ada")
    assert placed.status_code in (200, 202)
    assert placed.json()["order_id"] == recorded.json()["order_id"]
    assert decided(shop.api, drop_id, recorded.json()["order_id"])["status"] == "confirmed"


def test_redis_runs_out_of_patience_and_the_message_is_dead_lettered_then_replayed(tmp_path: Path) -> None:
    with shop_in(tmp_path, PATIENCE_S="0.1") as shop:
        put_drop(shop.api, "drop", 1)
        shop.redis.kill()
        shop.lab.command("enqueue", '{"order_id": "late", "drop_id": "drop", "customer_id": "bob", "quantity": 1}')
        wait_until(lambda: shop.bus.stats("orders")["dead"] == 1)
        shop.redis.restart()
        ready_again(shop.api)
        assert "late" in shop.lab.command("dead-letters", "--replay")
        assert decided(shop.api, "drop", "late")["status"] == "confirmed"
        assert shop.bus.stats("orders")["dead"] == 0


def test_an_unusable_redis_setting_is_named_by_readiness_and_answered_with_503(tmp_path: Path) -> None:
    with running_lab(tmp_path, "--redis", "rediss://host:6380,password=hunter2") as lab:
        ready = httpx.get(f"{lab.url}/api/health/ready", timeout=5)
        assert ready.status_code == 503
        assert ready.json()["reason"] == "Bad app setting: REDIS_URL; the log says what is wrong"
        assert_unavailable(httpx.get(f"{lab.url}/api/drops/drop", timeout=5))
    assert "hunter2" not in lab.log()
