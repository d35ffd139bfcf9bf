"""What the benchmark asks of clients of a cluster: GET over many slots, and the app's own script over many drops."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis
from redis.asyncio import Redis, RedisCluster

from lab.proof.bench_loads import META, SCRIPT, Load, of_run, placed, script_arguments
from lab.proof.bench_sides import HOST, VALUE, Call, Side
from services.redis_session import RedisService

PRIMARIES, KEYS, DROPS = 3, 300, 30
NAMES = [f"bench:{number}" for number in range(KEYS)]
DROP_KEYS = [[f"{{drop:bench-{n}}}:{part}" for part in ("meta", "orders", "customers")] for n in range(DROPS)]
_names, _drops = itertools.cycle(NAMES), itertools.cycle(DROP_KEYS)
Ask = Callable[[Any], Awaitable[Any]]  # one call of a client that has redis-py's API


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


def _get(client: Any) -> Awaitable[Any]:
    found: Awaitable[Any] = client.get(next(_names))
    return found


def _place(client: Any) -> Awaitable[Any]:
    found: Awaitable[Any] = client.evalsha(*script_arguments(next(_drops)))
    return found


def _ours(ask: Ask) -> Side:
    async def opened(port: int) -> AsyncIterator[Call]:
        service = RedisService(f"redis://{HOST}:{port}/0")
        client: Redis = await service.healthy_client()
        yield lambda: ask(client)
        await service.aclose()

    return asynccontextmanager(opened)


def _redis_cluster(ask: Ask) -> Side:
    async def opened(port: int) -> AsyncIterator[Call]:
        async with RedisCluster(host=HOST, port=port) as client:
            yield lambda: ask(client)

    return asynccontextmanager(opened)


def _glide(ask: Ask) -> Side:
    async def opened(port: int) -> AsyncIterator[Call]:
        import glide

        glide.Logger.set_logger_config(glide.LogLevel.OFF)
        how = glide.GlideClusterClientConfiguration([glide.NodeAddress(HOST, port)], request_timeout=10_000)
        client = await glide.GlideClusterClient.create(how)
        yield lambda: ask(client)
        await client.close()

    return asynccontextmanager(opened)


def _glide_place(client: Any) -> Awaitable[Any]:
    found: Awaitable[Any] = client.custom_command(["EVALSHA", *map(str, script_arguments(next(_drops)))])
    return found


def _coredis(ask: Ask) -> Side:
    async def opened(port: int) -> AsyncIterator[Call]:
        import coredis

        async with coredis.RedisCluster(host=HOST, port=port, max_connections=PRIMARIES) as client:
            yield lambda: ask(client)

    return asynccontextmanager(opened)


def _coredis_place(client: Any) -> Awaitable[Any]:
    sha, _, *rest = script_arguments(next(_drops))
    found: Awaitable[Any] = client.evalsha(sha, keys=rest[:3], args=rest[3:])
    return found


def _sides(ask: Ask, of_glide: Ask, of_coredis: Ask) -> dict[str, Side]:
    sides = {"ours": _ours(ask), "run": of_run(ask), "RedisCluster": _redis_cluster(ask)}
    if importlib.util.find_spec("glide"):
        sides["valkey-glide"] = _glide(of_glide)
    if importlib.util.find_spec("coredis"):
        sides["coredis"] = _coredis(of_coredis)
    return sides


LOADS = {
    "get": Load(_sides(_get, _get, _get), VALUE.__eq__),
    "script": Load(_sides(_place, _glide_place, _coredis_place), placed),
}
