"""What the benchmark asks of clients of a cluster: GET over many slots, and the app's own script over many drops."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import redis
from redis.asyncio import Redis, RedisCluster

from lab.proof.bench_loads import META, SCRIPT, Load, placed, script_arguments
from lab.proof.bench_sides import HOST, VALUE, Ask, Side, glide, of_run, side, url
from services.redis_session import RedisService

PRIMARIES, KEYS, DROPS = 3, 300, 30
NAMES = [f"bench:{number}" for number in range(KEYS)]
DROP_KEYS = [[f"{{drop:bench-{n}}}:{part}" for part in ("meta", "orders", "customers")] for n in range(DROPS)]
_names, _drops = itertools.cycle(NAMES), itertools.cycle(DROP_KEYS)


def prepare(admin: redis.RedisCluster) -> None:
    """The values that are read, and the drops that the script places orders in."""
    for name in NAMES:
        admin.set(name, VALUE)
    for meta, *_ in DROP_KEYS:
        admin.hset(meta, mapping=META)
    admin.script_load(SCRIPT._text)


def clients(admin: redis.RedisCluster) -> set[Any]:
    """The ids of all primaries' clients, each with its node."""
    found: Any = admin.client_list(target_nodes=redis.RedisCluster.PRIMARIES)  # a dict, of several nodes
    return {(node, one["id"]) for node, listed in found.items() for one in listed}


@asynccontextmanager
async def ours(port: int) -> AsyncIterator[Redis]:
    """The client that the session found to be one of a cluster."""
    async with aclosing(RedisService(url(port))) as service:
        yield await service.healthy_client()


def coredis(port: int) -> Any:
    import coredis

    return coredis.RedisCluster(host=HOST, port=port, max_connections=PRIMARIES)


def _get(client: Any) -> Any:
    return client.get(next(_names))


def _place(client: Any) -> Any:
    return client.evalsha(*script_arguments(next(_drops)))


def _glide_place(client: Any) -> Any:
    return client.custom_command(["EVALSHA", *map(str, script_arguments(next(_drops)))])


def _coredis_place(client: Any) -> Any:
    sha, _, *rest = script_arguments(next(_drops))
    return client.evalsha(sha, keys=rest[:3], args=rest[3:])


def _sides(ask: Ask, of_glide: Ask, of_coredis: Ask) -> dict[str, Side]:
    return {
        "ours": side(ours, ask),
        "run": of_run(ask),
        "RedisCluster": side(lambda port: RedisCluster(host=HOST, port=port), ask),
        "valkey-glide": side(partial(glide, kind="GlideCluster"), of_glide),
        "coredis": side(coredis, of_coredis),
    }


LOADS = {
    "get": Load(_sides(_get, _get, _get), VALUE.__eq__),
    "script": Load(_sides(_place, _glide_place, _coredis_place), placed),
}
