"""One trial: a fleet in the middle of a spike, one fault, customers who repeat what was answered 503, closed books."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from redis.crc import key_slot

from lab.azure.redis_cluster import SLOTS
from lab.proof.faults.faults import Fault
from lab.proof.faults.outcome import Outcome, broken_promises
from lab.proof.faults.pace import RENEWAL_S, Pace
from lab.proof.faults.redis import FaultDidNotHappen
from lab.proof.faults.scene import Sale, Scene
from lab.proof.fleet.scaling import adjust
from lab.proof.sentinel import Sentinel
from lab.proof.spike.load import Answers, Load
from lab.proof.spike.progress import Progress
from lab.proof.spike.run import books_of, closed, looking, open_sale, settled
from lab.proof.spike.stage import Plan, Stage, put_up
from lab.proof.spike.timeline import Timeline
from lab.proof.tasks import background, end_all
from lab.tickets.shop import Shop

STOCK = 100_000
USERS = 10_000
SETTLE_S = 10.0  # for clients that are about to go


class Going:
    """The times of a load with no end of its own: it rises for `ramp_s` seconds, then goes on evenly until `stop`.

    Without the ramp every instance would have its first order, and its two connections to make, in the same second.
    """

    def __init__(self, per_s: float, ramp_s: float) -> None:
        self._per_s, self._ramp_s, self._stopped = per_s, ramp_s, False

    def __iter__(self) -> Iterator[float]:
        number, in_ramp = 0, self._per_s * self._ramp_s / 2
        while not self._stopped:
            if number < in_ramp:
                yield math.sqrt(2 * number * self._ramp_s / self._per_s)
            else:
                yield number / self._per_s + self._ramp_s / 2
            number += 1

    def stop(self) -> None:
        self._stopped = True


def plan_of(pace: Pace) -> Plan:
    """The stage of a trial. Redis writes its log before each answer, so that a crash loses nothing it acknowledged."""
    half = pace.instances // 2
    return Plan(
        http=pace.instances - half,
        fulfilment=half,
        client_limit=pace.client_limit,
        clocks=pace.clocks,
        lock_s=pace.lock_s,
        appendfsync="always",
        proxied=True,
        settings=lock_renewal(RENEWAL_S * min(1.0, pace.lock_s / 60)),
    )


def lock_renewal(seconds: float) -> dict[str, str]:
    """The app setting that overrides host.json's maxAutoLockRenewalDuration."""
    text = f"00:{int(seconds) // 60:02d}:{seconds % 60:06.3f}"
    return {"AzureFunctionsJobHost__extensions__serviceBus__maxAutoLockRenewalDuration": text}


def on_a_cluster(plan: Plan, primaries: int, fault: Fault) -> Plan:
    """The same on a cluster; the budget counts one primary more, as a fault may add one."""
    settings = {**plan.settings, "REDIS_PRIMARIES": str(primaries + 1)}
    return replace(plan, primaries=primaries, proxied=False, settings=settings, **fault.cluster)


async def endure(fault: Fault, pace: Pace, progress: Progress, primaries: int = 1) -> Outcome:
    """Run it. Raises what the stage raises; a fault that did not happen is a note, and so a broken promise."""
    outcome = Outcome(fault.name, fault.title, bound_s=fault.bound_s(pace))
    plan = plan_of(pace) if primaries == 1 else on_a_cluster(plan_of(pace), primaries, fault)
    with Sentinel() as sentinel:
        async with put_up(plan) as stage, AsyncExitStack() as stack:
            progress.say(f"starting {pace.instances} instances")
            await adjust(stage.fleet, stage.plan.full)
            await stage.bus.ask("remember_completed")
            sales = [await stack.enter_async_context(on_sale(stage, pace, drop)) for drop in drops_of(plan)]
            scene = Scene(stage, sales, pace, STOCK)
            timeline = Timeline(stage, sales[0].load, sales[0].books, stage.admin())
            looks = [looking(sale.books) for sale in sales]
            async with background(timeline.watch(), progress.follow(timeline, float("inf")), *looks):
                await _through(scene, fault, outcome)
            outcome.peak_clients = timeline.peak_clients
            outcome.leaked = await leaked(scene)
            for sale in sales:
                outcome.take(await closed(stage, sale.books, scene.stock, scene.completed))
            outcome.notes, outcome.remarks, outcome.replayed = scene.notes, scene.remarks, scene.replayed
    outcome.machine_late_s = round(sentinel.late_s, 2)
    outcome.broken = broken_promises(outcome, fault.statuses)
    return outcome


def drops_of(plan: Plan) -> list[str]:
    """Ids that nobody has used: one, or on a cluster one for each primary, in their order."""
    found: dict[int, str] = {}
    while len(found) < plan.primaries:
        drop_id = f"fault-{secrets.token_hex(4)}"
        found.setdefault(slot_of(drop_id) * plan.primaries // SLOTS, drop_id)
    return [found[number] for number in range(plan.primaries)]


def slot_of(drop_id: str) -> int:
    """Where a drop's keys lie."""
    return key_slot(f"drop:{drop_id}".encode())


@asynccontextmanager
async def on_sale(stage: Stage, pace: Pace, drop_id: str) -> AsyncIterator[Sale]:
    """A drop whose customers repeat what is answered 503."""
    async with Load(stage.front.url, Shop(drop_id, USERS), repeats=pace.repeats) as load:
        await open_sale(load, STOCK)
        yield Sale(load, await books_of(stage, load))


async def leaked(scene: Scene) -> int:
    """Clients of any server beyond one for each live instance."""
    alive = len(scene.stage.fleet.alive)
    return sum([max(0, await node.settled_clients(alive, SETTLE_S) - alive) for node in scene.nodes])


async def _through(scene: Scene, fault: Fault, outcome: Outcome) -> None:
    """Orders before, during and after the fault, until every accepted one is decided."""
    clock, pace, sales = asyncio.get_running_loop().time, scene.pace, scene.sales
    going = [Going(pace.orders_per_s / len(sales), pace.before_s) for _ in sales]
    sending = [asyncio.create_task(sale.load.run(times)) for sale, times in zip(sales, going, strict=True)]
    try:
        await asyncio.sleep(pace.before_s + pace.after_s)
        began = clock()
        try:
            await fault.inflict(scene)
        except FaultDidNotHappen as error:
            scene.notes.append(f"this proves nothing: {error}")
        over = clock()
        await asyncio.sleep(outcome.bound_s + pace.after_s)
        for times in going:
            times.stop()
        await asyncio.gather(*sending)
    finally:
        await end_all(sending)
    if fault.mend is not None:
        await fault.mend(scene)
    for sale in sales:
        await settled(sale.books, pace.settle_s)
    _count([sale.load.answers for sale in sales], outcome, began, over)


def _count(answers: list[Answers], outcome: Outcome, began: float, over: float) -> None:
    """What customers saw of a fault that lasted from `began` to `over`, by the event loop's clock."""
    failures = [failure for one in answers for failure in one.failures]
    outcome.recovery_s = round(max(0.0, max((failure.sent_at - over for failure in failures), default=0.0)), 2)
    outcome.lasted_s = round(over - began, 1)
    outcome.errors_per_s = dict(sorted(Counter(math.floor(failure.ended_at - began) for failure in failures).items()))
    outcome.early_errors = sum(failure.ended_at < began for failure in failures)
    outcome.accepted, outcome.given_up = sum(len(one.accepted) for one in answers), sum(one.given_up for one in answers)
    outcome.client_errors = dict(sum((Counter(one.by_status) for one in answers), Counter()))
    outcome.longest_answer_s = round(max(one.longest_s for one in answers), 2)
