"""200 instances with 100 concurrent calls each against 256 places, through an outage: how many clients Redis has."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from services.redis_session import RedisUnavailable
from tests.simulation.instance import Instance
from tests.simulation.plan import Plan
from tests.simulation.redis_model import RedisModel
from tests.simulation.simulation import Simulation

INSTANCES, CALLS, PLACES = 200, 100, 256
START_S, OUTAGE, END_S, PAUSE_S, SAMPLE_S = 4.0, (8.0, 11.0), 20.0, 2.0, 0.1


def fleet() -> tuple[list[tuple[float, int, int, int]], RedisModel]:
    """(seconds, clients, answers, failures) per sample, counted since the one before."""
    simulation = Simulation(Plan("fleet", END_S, INSTANCES, 1, 120.0, 900.0, 15.0, 0.01))
    world, redis, counts = simulation.world, simulation.redis, Counter[str]()
    redis.max_clients, world.max_steps = PLACES, 10 * world.max_steps
    samples: list[tuple[float, int, int, int]] = []

    async def caller(instance: Instance) -> None:
        while world.now < END_S:
            try:
                await instance.app.redis_service.run(lambda redis: redis.incr("n"), idempotent=True, within_s=2.5)
                counts["answers"] += 1
            except RedisUnavailable:
                counts["failures"] += 1
            await asyncio.sleep(PAUSE_S * world.random.random() * 2)

    def call(instance: Instance) -> None:
        for _ in range(CALLS):
            instance.loop.create_task(caller(instance))

    def sample() -> None:
        samples.append((world.now, len(redis.clients), counts["answers"], counts["failures"]))
        counts.clear()
        world.later(SAMPLE_S, sample)

    for number, instance in enumerate(simulation.instances):
        world.at(START_S * number / INSTANCES, call, instance)
    world.at(OUTAGE[0], redis.restart, OUTAGE[1] - OUTAGE[0], 0.0, 0.0)
    sample()
    world.run(END_S)
    simulation.bury()
    assert not world.broken, world.broken
    return samples, redis


def draw(folder: Path) -> str:
    """The curve as a picture in that folder; returns what it shows in words."""
    from lab.proof.report.palette import INK
    from lab.proof.report.svg import as_svg, drawing, entitled, figure

    samples, redis = fleet()
    answers, failures = sum(row[2] for row in samples), sum(row[3] for row in samples)
    words = (
        f"{INSTANCES} instances, {CALLS} concurrent calls on each, {PLACES} places, Redis away from {OUTAGE[0]:g} s to "
        f"{OUTAGE[1]:g} s: at most {redis.peak_clients} clients, {redis.refused_clients} refused, {answers:,} calls "
        f"answered, {failures:,} failed"
    )
    with drawing():
        drawn = figure(270)
        entitled(drawn, f"Clients of Redis: {INSTANCES} instances, {PLACES} places")
        axes = drawn.add_subplot(xlabel="virtual seconds", ylabel="clients", ylim=(0, PLACES * 1.1))
        axes.axhline(PLACES, color=INK, linestyle="--", linewidth=1, label="the limit")
        axes.axvspan(*OUTAGE, alpha=0.15, color=INK, label="Redis is away")
        axes.step([row[0] for row in samples], [row[1] for row in samples], where="post", label="clients")
        drawn.legend(loc="outside lower left", ncols=3)
        (folder / "clients.svg").write_text(as_svg(drawn, "clients", alt=words) + "\n", encoding="utf-8")
    return words
