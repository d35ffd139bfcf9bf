"""A fleet of processes against the client limit; at the size of the design with the profile `prove`."""

from __future__ import annotations

import os

from lab.proof.session_fleet.census import Size, take
from lab.proof.strategies import OURS

PROVE = os.environ.get("HYPOTHESIS_PROFILE") == "prove"
SIZE = Size() if PROVE else Size(processes=20, client_limit=25, rounds=2, within_s=5)


def test_with_the_session_no_call_fails_and_each_process_is_one_client() -> None:
    census = take(OURS, SIZE)
    assert (census.failed, census.peak_clients, census.refused_connects) == (0, SIZE.processes, 0), census


def test_with_redis_pys_default_pool_the_same_fleet_is_refused() -> None:
    """The control: without it the limit might not be one."""
    assert take("redis-py", Size(processes=10, client_limit=12, rounds=1)).refused_connects > 0
