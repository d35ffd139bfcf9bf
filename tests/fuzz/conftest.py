"""A lab that demands its key, with a drop in each state that an order can meet."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.fuzz.hostile import CLOSED, EMPTY, OPEN
from tests.fuzz.witness import Witness
from tests.running_lab import Lab, running_lab

KEY = "k-for-the-fuzz"
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "1500"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab"), "--key", KEY) as lab:
        many = {"stock": 1_000_000, "per_customer": 100}
        drops = {OPEN: many, EMPTY: {**many, "stock": 0}, CLOSED: {**many, "closes_at": "2001-01-01T00:00:00Z"}}
        for drop, body in drops.items():
            url = f"{lab.url}/api/drops/{drop}"
            httpx.put(url, json=body, headers={"x-functions-key": KEY}).raise_for_status()
        yield lab


@pytest.fixture(scope="module")
def witness(lab: Lab) -> Iterator[Witness]:
    with Witness(lab.redis_url, lab.url, KEY) as witness:
        yield witness
