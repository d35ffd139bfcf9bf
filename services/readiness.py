"""Whether this instance can serve: its settings are good and Redis answers. Never says more than status and reason."""

import asyncio

from pydantic import BaseModel, ConfigDict

from services.redis_session import RedisService, RedisUnavailable

PROBE_S = 1.0  # deadline of the PING
CACHE_S = 1.0  # anybody may ask, as often as they like


class Health(BaseModel):
    """What the health checks answer. `reason` is null unless the status is `unavailable`."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    status: str
    reason: str | None


class Readiness:
    """Answers from a cache of one second; everybody who asks meanwhile shares one PING."""

    def __init__(self, redis: RedisService, problems: tuple[str, ...]) -> None:
        self._redis, self._problems = redis, problems
        self._probe: asyncio.Task[str | None] | None = None
        self._fresh_until = 0.0

    async def reason(self) -> str | None:
        """Why this instance is not ready, or None if it is."""
        if self._problems:
            return "; ".join(self._problems)
        loop = asyncio.get_running_loop()
        probe = self._probe
        if probe is None or probe.get_loop() is not loop or (probe.done() and loop.time() >= self._fresh_until):
            probe = self._probe = loop.create_task(self._ask(), name="readiness")
        return await asyncio.shield(probe)

    async def _ask(self) -> str | None:
        try:
            await self._redis.ping(PROBE_S)
        except RedisUnavailable:
            return "Redis does not answer"
        finally:
            self._fresh_until = asyncio.get_running_loop().time() + CACHE_S
        return None
