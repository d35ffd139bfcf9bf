"""The whole app on a Redis Cluster of three primaries: its settings are those of one server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from redis.crc import key_slot

from tests.e2e.shop import decided, order, put_drop
from tests.running_lab import Lab, running_lab

pytestmark = pytest.mark.own_lab("it wants a cluster")
PRIMARIES = 3


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab"), "--redis-cluster", str(PRIMARIES)) as lab:
        yield lab


@pytest.fixture
def shop(clustered: Lab) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{clustered.url}/api", timeout=10) as client:
        yield client


def test_drops_on_every_shard_sell_what_they_have_and_no_more(clustered: Lab, shop: httpx.Client) -> None:
    drops = [f"drop-{number}" for number in range(12)]
    shards = {key_slot(f"drop:{drop}".encode()) * PRIMARIES // 16384 for drop in drops}
    assert shards == set(range(PRIMARIES))
    assert {put_drop(shop, drop, 2).status_code for drop in drops} == {201}
    placed = [(drop, order(shop, drop, customer)) for customer in ("ada", "bob") for drop in drops]
    assert {answer.status_code for _, answer in placed} == {202}
    found = [decided(shop, drop, answer.json()["order_id"])["status"] for drop, answer in placed]
    assert found == ["confirmed"] * len(placed)
    assert {order(shop, drop, "eve").status_code for drop in drops} == {409}
    assert {shop.get(f"/drops/{drop}").json()["remaining"] for drop in drops} == {0}


def test_it_is_ready_on_one_connection_to_each_primary(clustered: Lab, shop: httpx.Client, tmp_path: Path) -> None:
    assert shop.get("/health/ready").json() == {"status": "ready", "reason": None}
    with redis.RedisCluster.from_url(clustered.redis_url, client_name="lab") as cluster:
        found = cluster.client_list(target_nodes=redis.RedisCluster.ALL_NODES)
        names = {node: [one["name"] for one in clients if one["flags"] == "N"] for node, clients in found.items()}
    assert len(names) == PRIMARIES
    assert [len([name for name in of if name != "lab"]) for of in names.values()] == [1] * PRIMARIES
    assert f"one of {PRIMARIES} primaries" in clustered.command("status")


def test_a_killed_primary_comes_back_with_its_orders(clustered: Lab, shop: httpx.Client) -> None:
    drop = next(name for name in map("kept-{}".format, range(99)) if key_slot(f"drop:{name}".encode()) < 5461)
    put_drop(shop, drop, 5)
    confirmed = decided(shop, drop, order(shop, drop, "ada").json()["order_id"])
    clustered.command("break", "redis", "--for", "0.5")
    assert decided(shop, drop, confirmed["order_id"]) == confirmed
