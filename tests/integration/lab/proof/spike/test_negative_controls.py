"""An app broken on purpose makes each counter rise; the app as it is, under the same conditions, does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lab.tickets.books import Audit
from tests.integration.lab.proof.spike.broken_apps import (
    answers_before_sending,
    checks_outside,
    completes_undecided,
    decides_again,
    never_closes,
)
from tests.integration.lab.proof.spike.small import ORDERS, WAIT_S, Spike, small_spike

Break = Callable[[], None] | None
Seen = TypeVar("Seen")
SOUND = None


async def both(spike: Callable[[Break], Coroutine[Any, Any, Seen]], broken: Break) -> tuple[Seen, Seen]:
    """What becomes of the broken app and of the sound one, beside each other."""
    async with asyncio.TaskGroup() as spikes:
        running = [spikes.create_task(spike(prepare)) for prepare in (broken, SOUND)]
    return running[0].result(), running[1].result()


async def answered(spike: Spike, error: str, least: int = 1) -> None:
    """Wait until Redis has answered so many times with this error."""
    async with asyncio.timeout(WAIT_S):
        while True:
            errors = await spike.admin.info("errorstats")
            if errors.get(f"errorstat_{error}", {}).get("count", 0) >= least:
                return
            await asyncio.sleep(0.02)


async def every_message_comes_twice(prepare: Break) -> Audit:
    async with small_spike(prepare) as spike:
        await spike.stage.bus.ask("faults.store_twice", 10 * ORDERS)
        await spike.order()
        return await spike.audit()


async def test_deciding_again_what_was_decided_counts_as_decided_twice() -> None:
    broken, sound = await both(every_message_comes_twice, decides_again)
    assert broken.decided_twice > 0
    assert sound == Audit(confirmed=ORDERS)


async def redis_is_full_for_a_while(prepare: Break) -> Audit:
    """Every order is on the queue when Redis begins to refuse writes, and somebody was refused when it ends."""
    async with small_spike(prepare, fulfil_at_once=False) as spike:
        await spike.order()
        await spike.admin.config_set("maxmemory", "1")
        await spike.fulfil()
        await answered(spike, "OOM")
        await spike.admin.config_set("maxmemory", "0")
        return await spike.audit()


async def test_completing_a_message_before_its_order_is_decided_counts_as_lost() -> None:
    broken, sound = await both(redis_is_full_for_a_while, completes_undecided)
    assert broken.lost > 0
    assert sound == Audit(confirmed=ORDERS)


async def service_bus_refuses(prepare: Break) -> tuple[Audit, int]:
    """With it the orders that were accepted."""
    async with small_spike(prepare) as spike:
        await spike.stage.bus.ask("faults.refuse_sends", 100 * ORDERS)
        await spike.order(20)
        return await spike.audit(), len(spike.load.answers.accepted)


async def test_202_before_the_message_is_sent_counts_as_lost() -> None:
    (audit, accepted), sound = await both(service_bus_refuses, answers_before_sending)
    assert audit.lost == accepted == 20
    assert sound == (Audit(), 0)


async def redis_is_read_only_for_a_while(prepare: Break) -> int:
    """The clients that are left over, after several sessions were replaced."""
    async with small_spike(prepare) as spike:
        await spike.admin.replicaof("127.0.0.1", 1)  # of nobody
        ordering = asyncio.create_task(spike.order(20))
        await answered(spike, "READONLY", least=5)
        await spike.admin.replicaof("NO", "ONE")
        await ordering
        await spike.emptied()
        return await spike.leaked()


async def test_an_old_connection_that_is_not_closed_counts_as_leaked() -> None:
    broken, sound = await both(redis_is_read_only_for_a_while, never_closes)
    assert (broken > 0, sound) == (True, 0)


async def the_stock_is_short(prepare: Break) -> Audit:
    """All orders lie on the queue before the first is decided, so that many are decided at a time."""
    async with small_spike(prepare, stock=ORDERS // 2, fulfil_at_once=False) as spike:
        await spike.order()
        await spike.fulfil()
        return await spike.audit()


async def test_checking_the_stock_outside_the_script_counts_as_oversold() -> None:
    broken, sound = await both(the_stock_is_short, checks_outside)
    assert broken.oversold > 0
    assert sound == Audit(confirmed=ORDERS // 2, refused=ORDERS // 2)
