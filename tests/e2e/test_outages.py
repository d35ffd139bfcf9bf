"""Redis or Service Bus goes away under a running app and comes back: 503s meanwhile, nothing lost, no restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lab.azure.redis_server import RedisServer
from lab.azure.service_bus import Broker
from tests.e2e.shop import decided, order, put_drop
from tests.running_lab import Lab, running_lab
from tests.waiting import wait_until

pytestmark = pytest.mark.own_lab("it stops the servers that the app needs")


@contextmanager
def app(folder: Path, redis: RedisServer, bus: str, **environment: str) -> Iterator[tuple[Lab, httpx.Client]]:
    """A lab on servers that the test holds."""
    with (
        running_lab(folder, "--redis", redis.url, "--service-bus", bus, **environment) as lab,
        httpx.Client(base_url=f"{lab.url}/api", timeout=5) as client,  # an answer is due within 3 s
    ):
        yield lab, client


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """One that keeps what it acknowledged."""
    with RedisServer(appendfsync="always") as server:
        yield server


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert 1 <= int(answer.headers["Retry-After"]) <= 5
    assert answer.json()["status"] == 503
    assert "127.0.0.1" not in answer.text


def ready_again(api: httpx.Client) -> None:
    wait_until(lambda: api.get("/health/ready").status_code == 200)


def test_redis_dies_and_returns(redis: RedisServer, tmp_path: Path) -> None:
    with Broker() as bus, app(tmp_path, redis, bus.connection_string) as (lab, api):
        put_drop(api, "drop", 10)
        redis.kill()
        assert_unavailable(order(api, "drop", "ada"))
        assert_unavailable(api.get("/drops/drop"))
        assert api.get("/health").status_code == 200
        assert api.get("/health/ready").json() == {
            "status": "unavailable",
            "reason": "Redis: the connection is refused",
        }
        lab.command("enqueue", '{"order_id": "meanwhile", "drop_id": "drop", "customer_id": "bob", "quantity": 1}')
        redis.restart()
        ready_again(api)
        assert decided(api, "drop", "meanwhile")["status"] == "confirmed"
        assert order(api, "drop", "ada").status_code == 202


def test_a_paused_redis_is_answered_for_with_503(redis: RedisServer, tmp_path: Path) -> None:
    with Broker() as bus, app(tmp_path, redis, bus.connection_string) as (_, api):
        put_drop(api, "drop", 10)
        redis.pause()
        assert_unavailable(order(api, "drop", "ada"))
        redis.resume()
        ready_again(api)
        assert order(api, "drop", "ada").status_code == 202


def test_redis_runs_out_of_patience_and_the_message_is_dead_lettered_then_replayed(
    redis: RedisServer, tmp_path: Path
) -> None:
    with Broker() as bus, app(tmp_path, redis, bus.connection_string, PATIENCE_S="0.1") as (lab, api):
        put_drop(api, "drop", 1)
        redis.kill()
        lab.command("enqueue", '{"order_id": "late", "drop_id": "drop", "customer_id": "bob", "quantity": 1}')
        while not bus.stats("orders")["dead"]:
            api.get("/health")
        redis.restart()
        ready_again(api)
        assert "late" in lab.command("dead-letters", "--replay")
        assert decided(api, "drop", "late")["status"] == "confirmed"
        assert bus.stats("orders")["dead"] == 0


def test_service_bus_dies_and_the_repeated_request_finishes_the_order(redis: RedisServer, tmp_path: Path) -> None:
    bus = Broker().start()
    with app(tmp_path, redis, bus.connection_string) as (_, api):
        put_drop(api, "drop", 1)
        bus.stop()
        refused = order(api, "drop", "ada")
        assert_unavailable(refused)
        recorded = api.get(refused.headers["Location"].removeprefix("/api"))
        assert recorded.json()["status"] == "queued"
        with Broker(port=bus.port):
            wait_until(lambda: order(api, "drop", "ada").status_code != 503)
            placed = order(api, "drop", "ada")
            assert placed.status_code in (200, 202)
            assert placed.json()["order_id"] == recorded.json()["order_id"]
            assert decided(api, "drop", recorded.json()["order_id"])["status"] == "confirmed"


def test_a_mute_service_bus_is_answered_for_with_503(redis: RedisServer, tmp_path: Path) -> None:
    with Broker() as bus, app(tmp_path, redis, bus.connection_string) as (_, api):
        put_drop(api, "drop", 1)
        bus.faults.mute()
        assert_unavailable(order(api, "drop", "ada"))
        bus.faults.unmute()


def test_an_unusable_redis_setting_is_named_by_readiness_and_answered_with_503(tmp_path: Path) -> None:
    with running_lab(tmp_path, "--redis", "rediss://host:6380,password=hunter2") as lab:
        ready = httpx.get(f"{lab.url}/api/health/ready", timeout=5)
        assert ready.status_code == 503
        assert ready.json()["reason"] == "Bad app setting: REDIS_URL; the log says what is wrong"
        assert_unavailable(httpx.get(f"{lab.url}/api/drops/drop", timeout=5))
    assert "hunter2" not in (tmp_path / "up.log").read_text()
