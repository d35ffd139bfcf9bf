"""Other ways to hold Redis sessions, each a drop-in for RedisService: what the session is compared with.

Every side has the same deadline per operation and repeats what its own documentation says. The first three fail as they
fail in the wild: nothing here is improved beyond what people write.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial

from lab.proof.strategies.coredis_client import CoredisClient
from lab.proof.strategies.glide_client import GlideClient
from lab.proof.strategies.redis_py import ClientPerCall, PingFirst, SharedClient
from lab.proof.strategies.session import Session
from services.redis_session import RedisService

OURS = "ours"
POOLS = (1, 2, 8)  # connections
STRATEGIES: dict[str, Callable[[str], Session]] = {
    "never-closed": lambda url: ClientPerCall(url, close=False),
    "per-call": lambda url: ClientPerCall(url, close=True),
    "strategy3": PingFirst,
    "redis-py": SharedClient,
    **{f"blocking-pool-{size}": partial(SharedClient, blocking_connections=size) for size in POOLS},
    OURS: RedisService,
}
# Without redis-py's API the app does not run on them; the scenarios of the session alone do.
SIDES: dict[str, Callable[[str], Session]] = {"valkey-glide": GlideClient, "coredis": CoredisClient, **STRATEGIES}
LIBRARIES = {"valkey-glide": "glide", "coredis": "coredis"}  # imported when used: a second, and threads
TITLES = {
    "never-closed": "(1) client per call, never closed",
    "per-call": "(2) connect + quit per call",
    "strategy3": "(3) shared redis-py client + PING each",
    "redis-py": "redis-py shared client, defaults",
    **{f"blocking-pool-{size}": f"BlockingConnectionPool({size})" for size in POOLS},
    "valkey-glide": "valkey-glide",
    "coredis": "coredis",
    OURS: "one multiplexed connection per process",
}


def preload(side: str) -> None:
    """Import what a side imports on first use, before a load begins."""
    if side in LIBRARIES:
        importlib.import_module(LIBRARIES[side])


__all__ = ["OURS", "SIDES", "STRATEGIES", "TITLES", "Session", "preload"]
