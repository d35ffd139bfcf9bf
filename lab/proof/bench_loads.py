"""What else the benchmark asks of the strongest sides: the app's own script through `run`, large values, pipelines.

Every call of the script places a new order of a new customer. On loopback.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from lab.proof.bench_sides import Bare, Side, default_pool, glide, installed, of_run, ours, side
from services.tickets.store import Script

LARGE, MIDDLING = b"v" * 64 * 1024, b"v" * 1024
PIPELINE = 100  # commands
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


@dataclass
class Load:
    """One kind of call, the sides that make it, and whether a reply is the right one."""

    sides: dict[str, Side]  # those that are installed are left
    right: Callable[[Any], bool]
    concurrency: int = 100

    def __post_init__(self) -> None:
        self.sides = installed(self.sides)


def script_arguments(keys: Sequence[str] = KEYS) -> tuple[Any, ...]:
    """Of EVALSHA: a new order of a new customer."""
    number = next(_numbers)
    return SCRIPT._sha, len(keys), *keys, f"order-{number}", f"customer-{number}", "1", "900000"


async def _pipelined(client: Redis) -> Any:
    pipeline = client.pipeline(transaction=False)
    for _ in range(PIPELINE):
        pipeline.get("middling")
    return await pipeline.execute()


async def _glide_pipelined(client: Any) -> Any:
    import glide

    batch = glide.Batch(is_atomic=False)
    for _ in range(PIPELINE):
        batch.get("middling")
    return await client.exec(batch, raise_on_error=True)


def _place(client: Any) -> Any:
    return client.evalsha(*script_arguments())


def _glide_place(client: Any) -> Any:
    return client.custom_command(["EVALSHA", *map(str, script_arguments())])


def _middling(client: Any) -> Any:
    return client.get("middling")


def _large(client: Any) -> Any:
    return client.get("large")


def _write(client: Any) -> Any:
    return client.set("written", MIDDLING)


def placed(reply: Any) -> bool:
    return bool(reply[0] == b"placed")


LOADS = {
    "script": Load(
        {
            "run": of_run(_place),
            "default pool": side(default_pool, _place),
            "valkey-glide": side(glide, _glide_place),
            "bare": side(Bare.connected, lambda bare: bare.call(("EVALSHA", *script_arguments()))),
        },
        placed,
    ),
    "get": Load({"run": of_run(_middling), "ours": side(ours, _middling)}, MIDDLING.__eq__),
    "get64k": Load({"ours": side(ours, _large), "valkey-glide": side(glide, _large)}, LARGE.__eq__),
    "set1k": Load(
        {"ours": side(ours, _write), "valkey-glide": side(glide, _write)}, lambda reply: reply in (True, "OK", b"OK")
    ),
    "pipeline100": Load(
        {
            "ours": side(ours, _pipelined),
            "valkey-glide": side(glide, _glide_pipelined),
            "bare": side(Bare.connected, Bare.get_many),
        },
        lambda replies: len(replies) == PIPELINE and replies[-1] == MIDDLING,
        concurrency=20,  # 2,000 commands at once, within the backlog
    ),
}
