"""200 instances with 100 concurrent calls each against 256 places, through an outage: how many clients Redis has."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path

from services.redis_session import RedisUnavailable
from tests.simulation.bus import Bus
from tests.simulation.instance import PASSWORD, Identity, Instance, settings_of
from tests.simulation.loop import World
from tests.simulation.network import Network
from tests.simulation.redis_model import RedisModel

INSTANCES, CALLS, PLACES = 200, 100, 256
START_S, OUTAGE, END_S, PAUSE_S, SAMPLE_S = 4.0, (8.0, 11.0), 20.0, 2.0, 0.1


def fleet() -> tuple[list[tuple[float, int, int, int]], RedisModel]:
    """(seconds, clients, answers, failures) per sample, counted since the one before."""
    logging.disable(logging.CRITICAL)
    world = World("fleet")
    redis = RedisModel(world, "fleet", PASSWORD)
    redis.network = network = Network(world, redis, "fleet")
    redis.max_clients = PLACES
    bus, settings, counts = Bus(world, "fleet", 0.01), settings_of(1, 120.0, 900.0, 15.0), Counter[str]()
    identity = Identity(world, 0.0)
    samples: list[tuple[float, int, int, int]] = []
    instances: list[Instance] = []

    async def caller(instance: Instance) -> None:
        while world.now < END_S:
            try:
                await instance.app.redis_service.run(lambda redis: redis.incr("n"), idempotent=True, within_s=2.5)
                counts["answers"] += 1
            except RedisUnavailable:
                counts["failures"] += 1
            await asyncio.sleep(PAUSE_S * world.random.random() * 2)

    def start(number: int) -> None:
        instances.append(Instance(world, network, bus, f"i{number}", settings, 1, identity))
        for _ in range(CALLS):
            instances[-1].loop.create_task(caller(instances[-1]))

    def sample() -> None:
        samples.append((world.now, len(redis.clients), counts["answers"], counts["failures"]))
        counts.clear()
        world.later(SAMPLE_S, sample)

    for number in range(INSTANCES):
        world.at(START_S * number / INSTANCES, start, number)
    world.at(OUTAGE[0], redis.restart, OUTAGE[1] - OUTAGE[0], 0.0, 0.0)
    sample()
    world.max_steps = 10 * world.max_steps
    world.run(END_S)
    world.ended = True
    for instance in instances:
        instance.loop.bury()
        instance.loop.bury(instance.app.redis_service.aclose())
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
