"""The invariants of a drop under any interleaving; and that the machine which checks them can fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio import Redis

from services.errors import NotFound
from services.redis_session.redis_service import RedisService
from services.tickets import store as order_store
from services.tickets.models import Order, OrderMessage
from services.tickets.store import OrderStore, Script
from tests.integration.services.tickets.drop_machine import DropMachine

# Enough to find each bug below, and no time spent on shrinking what was put there on purpose.
CONTROL = settings(
    max_examples=300,
    phases=[Phase.generate],
    database=None,
    print_blob=False,
    derandomize=True,
    deadline=None,
    stateful_step_count=30,
)


def run(make: Callable[[], DropMachine], profile: settings) -> None:
    run_state_machine_as_test(cast("type[DropMachine]", make), settings=profile)  # takes any factory


def changed(script: str, line: str, instead: str) -> Script:
    """A script with one line replaced."""
    broken = Script(script)
    assert line in broken._text
    broken._text = broken._text.replace(line, instead)
    broken._sha = hashlib.sha1(broken._text.encode()).hexdigest()  # noqa: S324 - Redis's name for a script
    return broken


NO_STOCK_CHECK = changed("decide_order", "drop.confirmed + quantity > drop.stock", "false")


class StockCheckedOutside(OrderStore):
    """Reads what remains first, and then decides without looking again: right only while nobody else decides."""

    async def decide(self, message: OrderMessage, within_s: float) -> Order:
        try:
            enough = (await self.read_drop(message.drop_id, within_s)).remaining >= message.quantity
        except NotFound:
            enough = False
        return await super().decide(message, within_s) if not enough else await self._decide_blindly(message, within_s)

    async def _decide_blindly(self, message: OrderMessage, within_s: float) -> Order:
        async def decide(redis: Redis) -> Any:
            arguments = message.order_id, message.customer_id, message.quantity
            return await NO_STOCK_CHECK(redis, order_store._keys(message.drop_id), *arguments)

        reply = await self._redis.run(decide, idempotent=True, within_s=within_s)
        if len(reply) == 1:
            return await super().decide(message, within_s)
        return order_store._order(message.order_id, message.drop_id, reply[1])


@pytest.mark.timeout(1500)
def test_the_invariants_hold_under_any_interleaving(server_url: str) -> None:
    run(lambda: DropMachine(server_url), settings(stateful_step_count=30))


@pytest.mark.parametrize(
    ("script", "line", "instead"),
    [
        ("decide_order", "order.status ~= 'queued'", "false"),
        ("decide_order", "not same_order(order, customer_id, quantity)", "false"),
        ("decide_order", "customer.confirmed + quantity > drop.per_customer", "false"),
        ("decide_order", "drop.confirmed + quantity > drop.stock", "false"),
        ("decide_order", "redis.call('HINCRBY', META, order.status, quantity)", ""),
        ("place_order", " + tickets_held(customer)", ""),
        ("place_order", "now + hold", "now + 900000"),
        ("place_order", "set_expiry(drop.closes_at)", ""),
        ("put_drop", "stock < confirmed", "false"),
        ("put_drop", "'confirmed', confirmed", "'confirmed', 0"),
    ],
)
def test_the_machine_finds_a_rule_that_a_script_has_lost(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, script: str, line: str, instead: str
) -> None:
    name = {"decide_order": "_DECIDE_ORDER", "place_order": "_PLACE_ORDER", "put_drop": "_PUT_DROP"}[script]
    monkeypatch.setattr(order_store, name, changed(script, line, instead))
    with pytest.raises(AssertionError):
        run(lambda: DropMachine(redis_url), CONTROL)


def test_the_machine_finds_a_stock_check_outside_of_the_script(redis_url: str) -> None:
    def broken(session: RedisService, hold_s: float) -> OrderStore:
        return StockCheckedOutside(session, hold_s)

    with pytest.raises(AssertionError):
        run(lambda: DropMachine(redis_url, broken), CONTROL)
