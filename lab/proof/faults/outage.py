"""Redis is away for many minutes, with messages waiting: what the patience of fulfil_order and ten deliveries survive.

Patience, lock and outage are shortened by one factor. The deliveries are what counts: 10 of PATIENCE_S each.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from lab.azure.functions_host import HostConfig
from lab.azure.settings import DEFAULT_QUEUE, ROOT
from lab.proof.faults.outcome import Outcome, broken_promises
from lab.proof.faults.pace import LOCK_S, RENEWAL_S, Pace
from lab.proof.faults.trial import STOCK, USERS, lock_renewal
from lab.proof.fleet.instance import Group
from lab.proof.sentinel import Sentinel
from lab.proof.spike.load import Load
from lab.proof.spike.progress import Progress
from lab.proof.spike.run import SpikeError, books_of, closed, open_sale, settled
from lab.proof.spike.stage import Plan, Stage, put_up
from lab.tickets.letters import fewest_deliveries, replay
from lab.tickets.shop import Shop

PER_S = 100.0  # orders, before the outage
FEWEST_DELIVERIES = 5
EMPTY_WITHIN_S = 120.0


@dataclass(frozen=True)
class Outage:
    """`minutes`, unscaled. `crowd`: messages per fulfilment slot. `survives`: no message may be given up meanwhile."""

    name: str
    title: str
    minutes: float
    crowd: float
    survives: bool


OUTAGES = {
    outage.name: outage
    for outage in (
        Outage("outage", "Redis away for 10 minutes", 10, 0.5, survives=True),
        Outage("long-outage", "Redis away for 25 minutes", 25, 0.5, survives=False),
        Outage("crowded-outage", "25 minutes, three messages per slot", 25, 3, survives=False),
    )
}


def plan_of(pace: Pace) -> Plan:
    """The stage: the clocks that the outage is measured against, all shortened by the same factor."""
    http, fulfilment = pace.outage_fleet
    return Plan(
        http=http,
        fulfilment=fulfilment,
        client_limit=pace.client_limit,
        clocks=pace.clocks,
        lock_s=LOCK_S / pace.scale,
        appendfsync="always",
        settings={"PATIENCE_S": f"{pace.patience_s:.3f}", **lock_renewal(RENEWAL_S / pace.scale)},
    )


async def endure(outage: Outage, pace: Pace, progress: Progress) -> Outcome:
    """Run it. Raises what the stage raises."""
    outcome = Outcome(outage.name, outage.title)
    shop = Shop(f"outage-{secrets.token_hex(4)}", USERS)
    with Sentinel() as sentinel:
        async with put_up(plan_of(pace)) as stage:
            await stage.fleet.grow(Group.HTTP, stage.plan.http)
            async with Load(stage.front.url, shop) as load:
                await open_sale(load, STOCK)
                books = await books_of(stage, load)
                await load.run([number / PER_S for number in range(messages(outage, stage))])
                outcome.accepted = len(load.answers.accepted)
                progress.say(f"{outage.title}: {outcome.accepted} messages wait, Redis is killed")
                await _be_away(outage, pace, stage, outcome)
                if not outage.survives:
                    await _replayed(stage, outcome)
                await settled(books, pace.settle_s)
                outcome.take(await closed(stage, books, STOCK))
                outcome.client_errors = load.answers.by_status
                outcome.longest_answer_s = round(load.answers.longest_s, 2)
    outcome.machine_late_s = round(sentinel.late_s, 2)
    outcome.broken = broken_promises(outcome, frozenset({503}))
    return outcome


def messages(outage: Outage, stage: Stage) -> int:
    """How many wait: per call that all fulfilment instances together make at a time."""
    at_once = HostConfig.load(ROOT, {}).service_bus.max_concurrent_calls
    return max(1, round(stage.plan.fulfilment * at_once * outage.crowd))


async def _be_away(outage: Outage, pace: Pace, stage: Stage, outcome: Outcome) -> None:
    stage.redis.kill()
    await stage.fleet.grow(Group.FULFILMENT, stage.plan.fulfilment)
    seconds = outage.minutes * 60 / pace.scale
    await asyncio.sleep(seconds)
    dead = (await stage.queue_stats())["dead"]
    if outage.survives:
        outcome.deliveries = await fewest_deliveries(stage.bus.connection_string, DEFAULT_QUEUE)
        if dead:
            outcome.notes.append(f"{dead} messages were given up within {outage.minutes:g} minutes")
        if outcome.deliveries < FEWEST_DELIVERIES:
            outcome.notes.append(f"a message was delivered {outcome.deliveries} times only: this proves too little")
    elif not dead:
        outcome.notes.append("no message was given up: this proves too little")
    elif outage.crowd <= 1 and dead < outcome.accepted:
        outcome.notes.append(f"only {dead} of {outcome.accepted} messages were given up in {outage.minutes:g} minutes")
    await asyncio.to_thread(stage.redis.start)


async def _replayed(stage: Stage, outcome: Outcome) -> None:
    """Wait until the queue is empty, then send back what was given up."""
    await stage.emptied(EMPTY_WITHIN_S)
    outcome.replayed = await replay(stage.bus.connection_string, DEFAULT_QUEUE)
    if not outcome.replayed:
        raise SpikeError("there was nothing to replay")
