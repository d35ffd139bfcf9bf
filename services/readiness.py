"""Whether this instance can serve: its settings are good, Redis answers, and Service Bus takes what is sent.

Anybody may ask, so it names kinds and no more: no value, no tier, no number, no host.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from services.redis_session import SILENT, RedisService, RedisUnavailable

log = logging.getLogger(__name__)
PROBE_S = 1.0  # deadline of the PING
CACHE_S = 1.0  # anybody may ask, as often as they like
FAILING_S = 30.0  # for so long no send has succeeded
FORGOTTEN_S = 60.0  # after so long without a send nothing is known


class Health(BaseModel):
    """What the health checks answer. `reason` is null unless the status is `unavailable`."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    status: str
    reason: str | None


class RecentSends:
    """How the app's own sends went lately. Nothing is ever sent to find out. `clock`: seconds, the running loop's."""

    def __init__(self, clock: Callable[[], float] = lambda: asyncio.get_running_loop().time()) -> None:
        self._clock = clock
        self._succeeded_at = self._failed_at = -math.inf

    def note(self, *, succeeded: bool) -> None:
        """One send has ended."""
        now = self._clock()
        if succeeded:
            self._succeeded_at = now
        else:
            self._failed_at = now

    @property
    def all_failed(self) -> bool:
        """Whether the last one failed, within a minute, and so did every one of the last 30 s."""
        now = self._clock()
        last_failed = self._failed_at > self._succeeded_at
        return last_failed and now - self._failed_at < FORGOTTEN_S and now - self._succeeded_at > FAILING_S


class Readiness:
    """Answers from a cache of one second; everybody who asks meanwhile shares one PING.

    Args:
        problems: one line for each bad setting, what is bad about it behind a colon; that stays in the log.
        primaries: how many of a Redis cluster the connection budget counts; None: there is no budget.
    """

    def __init__(
        self, redis: RedisService, problems: tuple[str, ...], sends: RecentSends, primaries: int | None = None
    ) -> None:
        self._redis, self._sends, self._primaries, self._most_told = redis, sends, primaries, 0
        self._bad_settings = ", ".join(dict.fromkeys(problem.partition(":")[0] for problem in problems))
        self._probe: asyncio.Task[str | None] | None = None
        self._fresh_until = 0.0

    async def reason(self) -> str | None:
        """Why this instance is not ready, or None if it is."""
        if self._bad_settings:
            return f"Bad app setting: {self._bad_settings}; the log says what is wrong"
        if self._sends.all_failed:
            return "Service Bus takes no messages"
        loop = asyncio.get_running_loop()
        probe = self._probe
        if probe is None or probe.get_loop() is not loop or (probe.done() and loop.time() >= self._fresh_until):
            probe = self._probe = loop.create_task(self._ask(), name="readiness")
        return await asyncio.shield(probe)

    async def _ask(self) -> str | None:
        try:
            await self._redis.ping(PROBE_S)
        except RedisUnavailable as error:
            reason = error.reason or SILENT
            return reason if "Redis" in reason else f"Redis: {reason}"
        finally:
            self._fresh_until = asyncio.get_running_loop().time() + CACHE_S
        return self._over_budget()

    def _over_budget(self) -> str | None:
        found = self._redis.primaries
        if self._primaries is None or found <= self._primaries:
            return None
        if found > self._most_told:
            self._most_told = found
            log.error("Redis has %d primaries, the budget counts %d: set REDIS_PRIMARIES", found, self._primaries)
        return "Redis has more primaries than the connection budget counts"
