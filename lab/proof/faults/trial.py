"""One trial: a fleet in the middle of a spike, one fault, customers who repeat what was answered 503, closed books."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import Iterator

from lab.proof.faults.faults import Fault
from lab.proof.faults.outcome import Outcome, broken_promises
from lab.proof.faults.pace import RENEWAL_S, Pace
from lab.proof.faults.redis import FaultDidNotHappen
from lab.proof.faults.scene import Scene
from lab.proof.fleet.scaling import adjust
from lab.proof.sentinel import Sentinel
from lab.proof.spike.load import Load
from lab.proof.spike.progress import Progress
from lab.proof.spike.run import books_of, closed, looking, open_sale, settled
from lab.proof.spike.stage import Plan, put_up
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
        """No further order."""
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


async def endure(fault: Fault, pace: Pace, progress: Progress) -> Outcome:
    """Run it. Raises what the stage raises; a fault that did not happen is a note, and so a broken promise."""
    outcome = Outcome(fault.name, fault.title, bound_s=fault.bound_s(pace))
    shop = Shop(f"fault-{secrets.token_hex(4)}", USERS)
    with Sentinel() as sentinel:
        async with put_up(plan_of(pace)) as stage:
            progress.say(f"starting {pace.instances} instances")
            await adjust(stage.fleet, stage.plan.full)
            async with Load(stage.front.url, shop, repeats=pace.repeats) as load:
                await stage.bus.ask("remember_completed")
                await open_sale(load, STOCK)
                books = books_of(stage, load)
                scene = Scene(stage, load, books, pace, STOCK)
                timeline = Timeline(stage, load, books, stage.admin())
                async with background(timeline.watch(), looking(books), progress.follow(timeline, float("inf"))):
                    await _through(scene, fault, outcome)
                outcome.peak_clients = timeline.peak_clients
                alive = len(stage.fleet.alive)
                outcome.leaked = max(0, await scene.target.settled_clients(alive, SETTLE_S) - alive)
                outcome.take(await closed(stage, books, scene.stock, scene.completed))
                outcome.notes, outcome.replayed = scene.notes, scene.replayed
    outcome.machine_late_s = round(sentinel.late_s, 2)
    outcome.broken = broken_promises(outcome, fault.statuses)
    return outcome


async def _through(scene: Scene, fault: Fault, outcome: Outcome) -> None:
    """Orders before, during and after the fault, until every accepted one is decided."""
    clock, pace, answers = asyncio.get_running_loop().time, scene.pace, scene.load.answers
    going = Going(pace.orders_per_s, pace.before_s)
    sending = asyncio.create_task(scene.load.run(going))
    try:
        await asyncio.sleep(pace.before_s + pace.after_s)
        began = clock()
        try:
            await fault.inflict(scene)
        except FaultDidNotHappen as error:
            scene.notes.append(f"this proves nothing: {error}")
        over = clock()
        await asyncio.sleep(outcome.bound_s + pace.after_s)
        going.stop()
        await sending
    finally:
        await end_all([sending])
    await settled(scene.books, pace.settle_s)
    late = [failure.sent_at - over for failure in answers.failures]
    outcome.recovery_s = round(max(0.0, max(late, default=0.0)), 2)
    outcome.lasted_s = round(over - began, 1)
    outcome.errors_per_s = dict(sorted(Counter(math.floor(one.ended_at - began) for one in answers.failures).items()))
    outcome.early_errors = sum(failure.ended_at < began for failure in answers.failures)
    outcome.accepted, outcome.given_up = len(answers.accepted), answers.given_up
    outcome.client_errors = answers.by_status
    outcome.longest_answer_s = round(answers.longest_s, 2)
