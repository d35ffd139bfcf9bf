"""Puts a strategy into the place of the app's session, before the app is imported: its own code stays as it is."""

from __future__ import annotations

from typing import Any

from lab.proof.strategies import OURS, STRATEGIES
from services import redis_session
from services.redis_session import Clocks, RedisService


def install(strategy: str, clocks: Clocks | None = None) -> None:
    """From now on services/app_services.py builds this strategy's session; `clocks` are for ours.

    Raises KeyError for an unknown strategy.
    """
    make = STRATEGIES[strategy]

    def session(url: str, **given: Any) -> Any:
        if strategy == OURS:
            return RedisService(url, **({**given, "clocks": clocks} if clocks else given))
        return make(url)

    setattr(redis_session, "RedisService", session)  # noqa: B010 - mypy rightly objects to assigning a class
