"""Other ways to hold Redis sessions, each a drop-in for RedisService: what the session is compared with.

None is meant to be used: they fail as they fail in the wild, and nothing here may be improved beyond what people write.
"""

from collections.abc import Callable

from lab.proof.strategies.client_per_call import ClientPerCall
from lab.proof.strategies.ping_first import PingFirst
from lab.proof.strategies.session import Session
from lab.proof.strategies.shared_client import SharedClient
from services.redis_session import RedisService

OURS = "ours"
STRATEGIES: dict[str, Callable[[str], Session]] = {
    "never-closed": lambda url: ClientPerCall(url, close=False),
    "per-call": lambda url: ClientPerCall(url, close=True),
    "strategy3": PingFirst,
    "redis-py": SharedClient,
    "blocking-pool-2": lambda url: SharedClient(url, blocking_connections=2),
    OURS: RedisService,
}
TITLES = {
    "never-closed": "1 client per call, never closed",
    "per-call": "2 connect + quit per call",
    "strategy3": "3 shared redis-py client + PING each",
    "redis-py": "redis-py shared client, defaults",
    "blocking-pool-2": "BlockingConnectionPool(2)",
    OURS: "one multiplexed connection per process",
}

__all__ = ["OURS", "STRATEGIES", "TITLES", "Session"]
