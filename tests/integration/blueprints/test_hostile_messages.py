"""Hostile messages on the queue: each is decided, or Undecidable and nothing is written; nothing else comes of it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import Undecidable
from tests.fuzz.hostile import CLOSED, EMPTY, OPEN, as_json, encoded, messages
from tests.integration.blueprints.worker import Worker

MESSAGES = int(os.environ.get("FUZZ_REQUESTS", "1500")) // 5
met: set[str] = set()


@pytest.mark.timeout(600)
@settings(max_examples=MESSAGES, database=None)
@given(st.one_of(as_json(messages), encoded(messages)))
async def test_a_hostile_message_is_decided_or_undecidable_and_then_writes_nothing(worker: Worker, body: bytes) -> None:
    for drop, stock in ((OPEN, 1_000_000), (EMPTY, 0), (CLOSED, 1_000)):
        await worker.put_drop(drop, stock=stock)
    before = await changes(worker)
    try:
        await worker.fulfil(body)
    except Undecidable:
        assert await changes(worker) == before
        met.add("undecidable")
    else:
        met.add("decided")


def test_among_them_were_some_of_both_kinds() -> None:
    assert met == {"decided", "undecidable"}


async def changes(worker: Worker) -> int:
    """How often anything was written; the server counts it."""
    return int((await worker.redis.info("persistence"))["rdb_changes_since_last_save"])
