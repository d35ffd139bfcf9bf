"""One spike on a fleet of this machine, from the first instance to the closed books."""

from __future__ import annotations

import asyncio
import contextlib
import math
import platform
import secrets
from dataclasses import asdict, replace

import psutil
import redis as redis_py

from lab.azure.settings import DEFAULT_QUEUE
from lab.proof.fleet.instance import Group
from lab.proof.fleet.scaling import adjust, follow
from lab.proof.outcome import Outcome, Parameters, percentiles
from lab.proof.spike.load import Answers, Load
from lab.proof.spike.progress import Progress
from lab.proof.spike.schedule import Schedule
from lab.proof.spike.stage import Plan, Stage, put_up
from lab.proof.spike.timeline import Timeline
from lab.proof.tasks import background
from lab.tickets.books import Audit, Books
from lab.tickets.letters import waiting_orders
from lab.tickets.shop import Shop

FIRST_SHARE = 0.1  # of the instances are there when the spike begins
LEAD_S = 5.0  # instances are asked for so long before the load that needs them is due
LOOK_EVERY_S = 1.0
# The last: redis-py 8's RedisCluster, where it got no connection and wants to count that for its metrics.
AWAY = (redis_py.RedisError, redis_py.exceptions.RedisClusterException, OSError, AttributeError)
SETTLE_S = 120.0  # for the last decisions, after the last answer
PUT_TRIES = 3


class SpikeError(RuntimeError):
    """The spike could not begin; the message says why."""


async def spike(parameters: Parameters, plan: Plan, progress: Progress, settle_s: float = SETTLE_S) -> Outcome:
    """Run it. Raises OverBudget, FleetError, RedisServerError, SpikeError."""
    stock = parameters.orders if parameters.stock is None else parameters.stock
    shop = Shop(f"spike-{secrets.token_hex(4)}", parameters.users, may_sell_out=parameters.stock is not None)
    schedule = Schedule(parameters.orders, parameters.seconds, parameters.seed)
    async with put_up(plan) as stage:
        progress.say(f"starting {sum(sizes(plan, schedule, 0.0).values())} of {plan.instances} instances")
        await adjust(stage.fleet, sizes(plan, schedule, 0.0))
        async with Load(stage.front.url, shop) as load:
            books = await books_of(stage, load)
            await open_sale(load, stock)
            timeline = Timeline(stage, load, books, stage.admin())
            async with background(
                timeline.watch(),
                looking(books),
                follow(stage.fleet, lambda: sizes_ahead(plan, schedule, elapsed(load))),
                progress.follow(timeline, schedule.seconds),
                hiccup(stage, schedule.seconds / 2, parameters.pause),
            ):
                await load.run(schedule.times())
                await settled(books, settle_s)
                took_s = elapsed(load)
                cpu_s = timeline.cpu_by_role()
            await timeline.count()
            audit = await closed(stage, books, stock)
        return outcome_of(parameters, stock, load, books, audit, timeline, took_s, cpu_s)


def sizes(plan: Plan, schedule: Schedule, t: float) -> dict[Group, int]:
    """The instances that the platform would want at `t` seconds: in proportion to the load."""
    share = max(FIRST_SHARE, schedule.rate(t) / schedule.peak)
    return {group: max(1, math.ceil(most * share)) for group, most in plan.full.items()}


async def books_of(stage: Stage, load: Load) -> Books:
    """The books of the load's drop, read on a connection of their own, which is there before the crowd comes."""
    books = Books(stage.reader(), load.shop.drop_id, load.answers.accepted)
    await books.redis.ping()
    return books


def elapsed(load: Load) -> float:
    """Seconds since the first order was scheduled; 0 before."""
    return asyncio.get_running_loop().time() - load.started_at if load.started_at else 0.0


def sizes_ahead(plan: Plan, schedule: Schedule, t: float) -> dict[Group, int]:
    """The instances to ask for at `t` seconds: those that the load needs LEAD_S later, as they take time to start."""
    now, soon = sizes(plan, schedule, t), sizes(plan, schedule, t + min(LEAD_S, schedule.seconds * schedule.ramp))
    return {group: max(now[group], soon[group]) for group in now}


async def open_sale(load: Load, stock: int) -> None:
    """Put the drop on sale, over HTTP; a cold instance may need more than one try. Raises SpikeError."""
    for _ in range(PUT_TRIES):
        status, body, pause_s = await load.ask(load.shop.put(stock))
        if status in (200, 201):
            return
        if status not in (0, 503):
            break
        await asyncio.sleep(pause_s)
    output = body.decode(errors="replace")[:200]
    raise SpikeError(f"PUT of the drop was answered {status or 'not at all'}: {output}")


async def hiccup(stage: Stage, after_s: float, pause_s: float) -> None:
    """Let Redis stop answering for `pause_s` seconds, `after_s` seconds from now; with 0 nothing happens."""
    if pause_s:
        await asyncio.sleep(after_s)
        stage.redis.pause()
        try:
            await asyncio.sleep(pause_s)
        finally:
            stage.redis.resume()


async def looking(books: Books) -> None:
    """Look into the books for ever; cancel it to stop."""
    while True:
        with contextlib.suppress(*AWAY):
            await books.look()
        await asyncio.sleep(LOOK_EVERY_S)


async def settled(books: Books, within_s: float) -> bool:
    """Wait until every accepted order is decided; False if that took longer."""
    clock = asyncio.get_running_loop().time
    ends = clock() + within_s
    while books.undecided:
        if clock() > ends:
            return False
        await asyncio.sleep(0.1)
        with contextlib.suppress(*AWAY):
            await books.look()
    return True


async def closed(stage: Stage, books: Books, stock: int, completed: frozenset[str] = frozenset()) -> Audit:
    """The audit, with what is on the queue and among the dead letters."""
    connection = stage.bus.connection_string
    queued = await waiting_orders(connection, DEFAULT_QUEUE) if books.undecided else []
    dead = await waiting_orders(connection, DEFAULT_QUEUE, dead=True)
    return await books.close(stock, queued, dead, completed)


def outcome_of(
    parameters: Parameters,
    stock: int,
    load: Load,
    books: Books,
    audit: Audit,
    timeline: Timeline,
    took_s: float,
    cpu_s: dict[str, float],
) -> Outcome:
    return replace(
        answered(parameters, stock, load.answers, took_s),
        instances=parameters.instances,
        client_limit=parameters.client_limit,
        **{**asdict(audit), "refused": audit.refused + load.answers.sold_out},
        peak_clients=timeline.peak_clients,
        refused_connections=timeline.refused_connections,
        decision_ms=[(rank, round(ms, 2)) for rank, ms in percentiles(books.decision_ms)],
        cpu_s=cpu_s,
        timeline=timeline.moments,
    )


def answered(parameters: Parameters, stock: int, answers: Answers, took_s: float) -> Outcome:
    """What the answers alone show, of a fleet here or an app elsewhere."""
    ranks = dict(percentiles(answers.latency_ms))
    return Outcome(
        strategy=parameters.strategy,
        instances=0,
        stock=stock,
        orders=answers.scheduled,
        accepted=len(answers.accepted),
        failed=len(answers.failures),
        seconds=round(took_s, 1),
        orders_per_second=round(answers.scheduled / took_s, 1),
        p50_ms=round(ranks.get(50, 0.0), 1),
        p99_ms=round(ranks.get(99, 0.0), 1),
        failures=answers.by_status,
        latency_ms=[(rank, round(ms, 2)) for rank, ms in ranks.items()],
        parameters=parameters,
        machine=machine(),
    )


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(psutil.cpu_count()),
        "redis-py": redis_py.__version__,
    }
