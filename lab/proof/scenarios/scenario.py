"""The ten situations: how many instances, what each of them does, and what happens to Redis meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from lab.azure.tcp_proxy import Faults
from lab.proof.faults import redis
from lab.proof.faults.redis import Target
from lab.proof.tasks import until

DEADLINE_S = 2.5  # of each operation, on every side
FIRST_S = 0.5  # load before something happens


@dataclass(frozen=True)
class Load:
    """What the callers of one instance do, for `seconds`. `think_s`: between two calls of a caller.

    `burst`: in place of steady callers, so many calls at once every `think_s`. `patience_s`: when a caller gives up.
    `slow_every_s`: beside them a script that keeps Redis busy for 50 ms, again and again, as often on every side.
    `messages`: callers beside the others that never pause, as messages of a queue do. `changes`: every call is a change
    that must not run twice.
    """

    callers: int = 16
    think_s: float = 0.02
    seconds: float = 2.0
    burst: int = 0
    patience_s: float | None = None
    slow_every_s: float = 0.0
    messages: int = 0
    changes: bool = False


@dataclass(frozen=True)
class Scenario:
    """`places`: Redis lets in so many clients beside the lab's; None for enough. `away_ms`: one way, added.

    `inflict`: what happens to Redis.
    """

    name: str
    title: str
    load: Load
    instances: int = 4
    places: int | None = None
    away_ms: float = 0.0
    proxied: bool = False
    inflict: Callable[[Target], Awaitable[None]] | None = None

    def shortened(self) -> Scenario:
        """The same for a quick look: nothing that happens takes less time, only the load around it."""
        spare = 0.8 if self.inflict is None else 0.3
        return replace(self, load=replace(self.load, seconds=self.load.seconds - spare))


async def stop(target: Target) -> None:
    """SIGSTOP for a second, as a failover or a busy host looks from outside."""
    await redis.pause(target, 1.0)


async def short_stops(target: Target) -> None:
    """Three stops of 0.3 s: longer than callers have patience for."""
    for _ in range(3):
        await redis.pause(target, 0.3)
        await asyncio.sleep(0.15)


async def fail_over(target: Target) -> None:
    """Killed; back half a second later as a replica that refuses writes; then a primary."""
    target.server.kill()
    await asyncio.sleep(0.3)
    await asyncio.to_thread(target.server.start)
    await redis.read_only(target, 0.5)


async def cut_replies(target: Target) -> None:
    """Connections are cut in the middle of a reply, again and again."""
    for number in range(6):
        doomed, target.proxy.to_client = target.proxy.to_client, Faults()
        doomed.cut_after = 703 * (number + 1)  # bytes, of replies of about 14
        await until(lambda before=target.proxy.accepted: target.proxy.accepted > before, 0.2)  # type: ignore[misc]


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("steady", "steady, as fast as it goes", Load(think_s=0.0), instances=2),
        Scenario("stop", "Redis stops for 1 s", Load(seconds=2.6), inflict=stop),
        Scenario("far", "Redis 5 ms away", Load(callers=64, think_s=0.0), instances=2, away_ms=5.0),
        Scenario("burst", "100 calls at once per instance", Load(burst=100, think_s=0.4)),
        Scenario("slow-script", "now and then a script of 50 ms", Load(slow_every_s=0.6)),
        Scenario(
            "give-up",
            "callers give up after 0.1 s, Redis stops for 0.3 s",
            Load(patience_s=0.1, seconds=2.2),
            inflict=short_stops,
        ),
        Scenario("failover", "killed, back READONLY, then primary", Load(seconds=3.0), inflict=fail_over),
        Scenario(
            "cut", "cut in the middle of a reply", Load(seconds=2.2, changes=True), proxied=True, inflict=cut_replies
        ),
        Scenario("limit", "twice as many instances as the client limit", Load(callers=8), instances=8, places=4),
        Scenario("messages", "16 messages at a time beside HTTP", Load(messages=16), instances=2),
    )
}
