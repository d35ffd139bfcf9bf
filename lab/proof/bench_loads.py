"""What else the benchmark asks of the strongest sides: the app's own script through `run`, large values, pipelines.

Every call of the script places a new order of a new customer. On loopback.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from lab.proof.bench_sides import HOST, Bare, Call, Side
from services.redis_session import MultiplexedRedis, RedisService
from services.tickets.store import Script

LARGE, MIDDLING = b"v" * 64 * 1024, b"v" * 1024
PIPELINE = 100  # commands
WITHIN_S = 30.0  # a benchmark does not measure deadlines
DROP = "{drop:bench}"
KEYS = (f"{DROP}:meta", f"{DROP}:orders", f"{DROP}:customers")
META: dict[Any, Any] = {
    "stock": 10**9,
    "per_customer": 100,
    "closes_at": 4_000_000_000_000,
    "confirmed": 0,
    "refused": 0,
}
SCRIPT = Script("place_order")
_numbers = itertools.count()


@dataclass(frozen=True)
class Load:
    """One kind of call, the sides that make it, and whether a reply is the right one."""

    sides: dict[str, Side]
    right: Callable[[Any], bool]
    concurrency: int = 100


def script_arguments(keys: Sequence[str] = KEYS) -> tuple[Any, ...]:
    """Of EVALSHA: a new order of a new customer."""
    number = next(_numbers)
    return SCRIPT._sha, len(keys), *keys, f"order-{number}", f"customer-{number}", "1", "900000"


def _pipelined(client: Redis) -> Call:
    async def call() -> Any:
        pipeline = client.pipeline(transaction=False)
        for _ in range(PIPELINE):
            pipeline.get("middling")
        return await pipeline.execute()

    return call


def _of_client(call: Callable[[Redis], Call], kind: type[Redis] = MultiplexedRedis) -> Side:
    async def opened(port: int) -> AsyncIterator[Call]:
        async with kind(host=HOST, port=port) as client:
            yield call(client)

    return asynccontextmanager(opened)


def of_run(operation: Callable[[Redis], Any]) -> Side:
    """The app's own way: each call through `RedisService.run`."""

    async def opened(port: int) -> AsyncIterator[Call]:
        service = RedisService(f"redis://{HOST}:{port}/0")
        yield lambda: service.run(operation, idempotent=True, within_s=WITHIN_S)
        await service.aclose()

    return asynccontextmanager(opened)


def _of_bare(call: Callable[[Bare], Call]) -> Side:
    async def opened(port: int) -> AsyncIterator[Call]:
        async with Bare.connected(port) as protocol:
            yield call(protocol)

    return asynccontextmanager(opened)


def _of_glide(call: Callable[[Any], Call]) -> dict[str, Side]:
    async def opened(port: int) -> AsyncIterator[Call]:
        import glide

        glide.Logger.set_logger_config(glide.LogLevel.OFF)
        address = glide.NodeAddress(HOST, port)
        client = await glide.GlideClient.create(glide.GlideClientConfiguration([address], request_timeout=10_000))
        yield call(client)
        await client.close()

    return {"valkey-glide": asynccontextmanager(opened)} if importlib.util.find_spec("glide") else {}


def _glide_pipelined(client: Any) -> Call:
    import glide

    async def call() -> Any:
        batch = glide.Batch(is_atomic=False)
        for _ in range(PIPELINE):
            batch.get("middling")
        return await client.exec(batch, raise_on_error=True)

    return call


def placed(reply: Any) -> bool:
    """Whether the script has placed the order."""
    return bool(reply[0] == b"placed")


LOADS = {
    "script": Load(
        {
            "run": of_run(lambda redis: redis.evalsha(*script_arguments())),
            "default pool": _of_client(lambda redis: lambda: redis.evalsha(*script_arguments()), Redis),
            **_of_glide(lambda client: lambda: client.custom_command(["EVALSHA", *map(str, script_arguments())])),
            "bare": _of_bare(lambda bare: lambda: bare.call(("EVALSHA", *script_arguments()))),
        },
        placed,
    ),
    "get": Load(
        {
            "run": of_run(lambda redis: redis.get("middling")),
            "ours": _of_client(lambda redis: lambda: redis.get("middling")),
        },
        MIDDLING.__eq__,
    ),
    "get64k": Load(
        {
            "ours": _of_client(lambda redis: lambda: redis.get("large")),
            **_of_glide(lambda client: lambda: client.get("large")),
        },
        LARGE.__eq__,
    ),
    "set1k": Load(
        {
            "ours": _of_client(lambda redis: lambda: redis.set("written", MIDDLING)),
            **_of_glide(lambda client: lambda: client.set("written", MIDDLING)),
        },
        lambda reply: reply in (True, "OK", b"OK"),
    ),
    "pipeline100": Load(
        {"ours": _of_client(_pipelined), **_of_glide(_glide_pipelined), "bare": _of_bare(lambda bare: bare.get_many)},
        lambda replies: len(replies) == PIPELINE and replies[-1] == MIDDLING,
        concurrency=20,  # 2,000 commands at once, within the backlog
    ),
}
