"""The app on a cluster: its readiness and its budget, with nothing set for it."""

from __future__ import annotations

import logging

import pytest

from lab.azure.redis_cluster import RedisCluster
from services.readiness import Readiness, RecentSends
from tests.integration.services.redis_session.cluster.conftest import Session


async def test_an_app_that_meets_more_primaries_than_its_budget_reports_it(
    cluster: RedisCluster, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    redis = session(cluster.url)
    ready = Readiness(redis, (), RecentSends(), primaries=2)
    with caplog.at_level(logging.ERROR):
        assert await ready.reason() == "Redis has more primaries than the connection budget counts"
    assert "3 primaries, the budget counts 2" in caplog.text
    assert await Readiness(redis, (), RecentSends(), primaries=3).reason() is None
    assert await Readiness(redis, (), RecentSends()).reason() is None
