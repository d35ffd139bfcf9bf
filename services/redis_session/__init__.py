"""One multiplexed Redis connection per process, proved before use and recreated when it fails. README.md says more."""

from __future__ import annotations

try:
    import hiredis  # noqa: F401
except ImportError as error:
    raise ImportError("redis_session needs hiredis: pip install 'redis[hiredis]'") from error

from .call_deadline import CallDeadline
from .credential import Credential, CredentialClocks, RedisCredential
from .errors import (
    NeedsOwnConnection,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    RedisNotConfigured,
    RedisSessionError,
    RedisUnavailable,
)
from .multiplexed_redis import MultiplexedRedis
from .outage import SILENT
from .redis_service import Clocks, Counters, Hooks, RedisService
from .server_reply import server_state

__all__ = [
    "RedisService",
    "MultiplexedRedis",
    "Clocks",
    "Hooks",
    "Counters",
    "CallDeadline",
    "RedisCredential",
    "Credential",
    "CredentialClocks",
    "RedisSessionError",
    "RedisUnavailable",
    "RedisNotConfigured",
    "NotSent",
    "Overloaded",
    "OutcomeUnknown",
    "NeedsOwnConnection",
    "server_state",
    "SILENT",
]
