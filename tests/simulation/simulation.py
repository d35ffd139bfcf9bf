"""One world from its plan: carries the steps out, waits until it rests, and checks what may never have happened."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .bus import Bus
from .callers import Callers
from .instance import PASSWORD, Instance, settings_of
from .loop import World
from .network import Network
from .plan import Plan, Step, plan_of
from .redis_model import RedisModel
from .shop import Shop

RECOVERY_S = 8.0  # connect_s + 2 s, and one more for the backoff: from then on nothing may fail
REST_S = 1800.0  # a world that has not come to rest by then has lost something
AUDIT_S = 5.0


@dataclass
class Result:
    """What became of a seed."""

    seed: str
    broken: list[str]
    steps: int
    virtual_s: float
    digest: int
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    trace: list[tuple[float, str, str]] | None = None


class Simulation:
    """Everything in one world."""

    def __init__(self, plan: Plan, keep_trace: bool = False) -> None:
        logging.disable(logging.CRITICAL)
        self.plan = plan
        self.world = world = World(plan.seed, keep_trace)
        self.redis = RedisModel(world, plan.seed, PASSWORD)
        self.network = self.redis.network = Network(world, self.redis, plan.seed)
        self.bus = Bus(world, plan.seed)
        self.bus.lag_s = plan.lag_s
        settings = settings_of(plan.connections, plan.patience_s, plan.hold_s, plan.idle_check_s)
        names = [f"i{number}" for number in range(plan.instances)]
        self.instances = [Instance(world, self.network, self.bus, name, settings) for name in names]
        self.shop = Shop(world, self.redis, self.bus, self.instances, plan.seed)
        self.callers = Callers(world, self.redis, self.network, plan.seed)
        self.trouble = 0
        self.people: list[asyncio.Task[Any]] = []

    def run(self) -> Result:
        """From the first step to the end of every task."""
        plan, world = self.plan, self.world
        for step in plan.steps:
            world.at(step.at, self._begin, step)
        world.later(AUDIT_S, self._audit)
        last = max([step.until for step in plan.steps], default=0)
        try:
            world.run(max(plan.duration_s, last) + RECOVERY_S)
            if not world.broken:
                self._finish()
        finally:
            self._bury()
        faults = Counter(step.kind for step in plan.steps if step.fault)
        counts = self.shop.tells + Counter(claim.outcome for claim in self.callers.claims)
        return Result(plan.seed, world.broken, world.steps, world.now, world.digest, faults, counts, world.trace)

    # -- steps -------------------------------------------------------------------------------------------------------
    def _begin(self, step: Step) -> None:
        if step.fault:
            self.world.note("fault", str(step))
            self._trouble(1)
            self.world.at(max(step.until, self.world.now), self._end, step)
        getattr(self, f"_{step.kind}")(step, **step.about)

    def _end(self, step: Step) -> None:
        self._trouble(-1)
        end = getattr(self, f"_{step.kind}_ends", None)
        if end is not None:
            self.world.note("fault", f"{step.kind} ends")
            end(**step.about)

    def _trouble(self, more: int) -> None:
        self.trouble += more
        calm_since = float("inf") if self.trouble else self.world.now + RECOVERY_S
        self.shop.calm_since = self.callers.calm_since = calm_since

    def _audit(self) -> None:
        self.shop.audit()
        self.world.later(AUDIT_S, self._audit)

    def _put(self, step: Step, **about: Any) -> None:
        self.people.append(self.shop.loop.create_task(self.shop.put(**about)))

    def _order(self, step: Step, **about: Any) -> None:
        self.people.append(self.shop.loop.create_task(self.shop.order(**about)))

    def _call(self, step: Step, instance: int, **about: Any) -> None:
        self.callers.call(self.instances[instance], **about)

    def _bare(self, step: Step, **about: Any) -> None:
        self.callers.bare_client(**about)

    # -- faults ------------------------------------------------------------------------------------------------------
    def _redis_state(self, step: Step, state: str) -> None:
        self.redis.enter(state)

    def _redis_state_ends(self, state: str) -> None:
        self.redis.enter("")

    def _redis_restart(self, step: Step, loading_s: float, lost_s: float) -> None:
        down_s = step.until - step.at
        loading_s = min(loading_s, down_s / 2)
        self.redis.restart(down_s - loading_s, loading_s, lost_s)

    def _redis_wiped(self, step: Step) -> None:
        self.redis.restart(step.until - step.at, 0, 0, everything=True)

    def _redis_failover(self, step: Step, lost_s: float, cut: bool) -> None:
        self.redis.fail_over(lost_s, cut, min(step.until - step.at, 1.0))

    def _redis_password(self, step: Step) -> None:
        self.redis.password = "another"
        self.network.reset_all()

    def _redis_password_ends(self) -> None:
        self.redis.password = PASSWORD

    def _redis_full(self, step: Step, places: int) -> None:
        self.redis.max_clients = places
        self.network.reset_all()

    def _redis_full_ends(self, places: int) -> None:
        self.redis.max_clients = 10_000

    def _redis_closes_idle(self, step: Step, idle_s: float) -> None:
        self.redis.close_idle(idle_s)
        if self.world.now + idle_s / 2 < step.until:
            self.world.later(idle_s / 2, self._redis_closes_idle, step, idle_s)

    def _redis_pushes(self, step: Step, payload: bytes, every_s: float) -> None:
        self.redis.push(payload)
        if self.world.now + every_s < min(step.until, step.at + 300 * every_s):
            self.world.later(every_s, self._redis_pushes, step, payload, every_s)

    def _net_slow(self, step: Step, delay_s: float) -> None:
        self.network.delay_s = (delay_s / 10, delay_s)

    def _net_slow_ends(self, delay_s: float) -> None:
        self.network.delay_s = (0.0002, 0.002)

    def _net_held(self, step: Step) -> None:
        self.network.held = True

    def _net_hole(self, step: Step) -> None:
        self.network.hole = True

    def _net_refuses(self, step: Step) -> None:
        self.network.refusing = True
        self.network.reset_all()

    def _net_held_ends(self) -> None:
        self.network.release()

    _net_hole_ends = _net_refuses_ends = _net_held_ends

    def _net_resets(self, step: Step, every_s: float, times: int) -> None:
        links = list(self.network.links)
        if links:
            self.network.random.choice(links).reset()
        if times > 1 and self.world.now + every_s < step.until:
            self.world.later(every_s, self._net_resets, step, every_s, times - 1)

    def _net_half_close(self, step: Step) -> None:
        for link in list(self.network.links):
            link.half_close()

    def _net_splits(self, step: Step) -> None:
        self.network.split = 0.9

    def _net_splits_ends(self) -> None:
        self.network.split = 0.1

    def _bus_state(self, step: Step, state: str) -> None:
        self.bus.state = state

    def _bus_state_ends(self, state: str) -> None:
        self.bus.state = ""
        self.bus.dispatch()

    def _bus_chance(self, step: Step, of: str, chance: float) -> None:
        setattr(self.bus, of, chance)

    def _bus_chance_ends(self, of: str, chance: float) -> None:
        setattr(self.bus, of, 0.0)

    def _bus_shuffles(self, step: Step) -> None:
        self.bus.queue.shuffle(self.bus.random)

    def _bus_shuffles_ends(self) -> None:
        self.bus.queue.shuffle(None)

    def _workerless(self, step: Step, instance: int) -> None:
        self.instances[instance].trigger.workerless = True

    def _workerless_ends(self, instance: int) -> None:
        self.instances[instance].trigger.workerless = False

    def _freeze(self, step: Step, instance: int) -> None:
        self.instances[instance].freeze(step.until - step.at)

    def _kill(self, step: Step, instance: int) -> None:
        if not self.instances[instance].loop.dead:
            self.instances[instance].kill()

    def _kill_ends(self, instance: int) -> None:
        if self.instances[instance].loop.dead:
            self.instances[instance].start()

    # -- the end -----------------------------------------------------------------------------------------------------
    def _finish(self) -> None:
        """Rest, explain what is left over, let the operator finish it, and close everything."""
        self._rest()
        left = self.shop.undecided()
        for new in left:
            self.shop.explain(new)
        if left or len(self.bus.dead):
            self._requeue()
        self.callers.check()
        self.shop.audit()
        self._close()

    def _rest(self) -> None:
        end = self.world.now + REST_S
        while self._restless() and self.world.now < end and not self.world.broken:
            self.world.run(self.world.now + 5)
        for what in self._restless():
            self.world.violate(f"does not come to rest: {what}")

    def _restless(self) -> list[str]:
        restless = [f"{len(self.bus.queue)} messages"] if len(self.bus.queue) else []
        restless += [f"{each.loop.name}: {call.what}" for each in self.instances for call in each.calls.values()]
        if not all(person.done() for person in self.people):
            restless.append("customers who wait")
        return restless

    def _requeue(self) -> None:
        """As docs/operations.md: put a lost drop again, replay the dead letters, repeat what is still queued."""
        self.world.run(self.world.now + 610)  # past the window of duplicate detection
        for drop_id, command in self.shop.drops.items():
            if not self.redis.hash_of(f"{{drop:{drop_id}}}:meta".encode()):
                self._put(Step(0, "put", {}), drop_id=drop_id, stock=command.stock, per_customer=command.per_customer)
        self._rest()
        self.bus.replay_dead()
        self._rest()
        for new in self.shop.undecided():
            self.shop.accepted.pop(new.order_id)
            self.people.append(self.shop.loop.create_task(self.shop.repeat(new)))
        self._rest()
        for new in self.shop.undecided():
            self.world.violate(f"order {new.order_id} cannot be finished")
        if len(self.bus.dead):
            self.world.violate(f"{len(self.bus.dead)} dead letters cannot be finished")

    def _close(self) -> None:
        """Every living instance still answers, and leaves no connection when it closes."""
        for each in self.instances:
            each.begin("a last ping", lambda app: app.redis_service.ping(2.5), 2.5, self._answered)
        self.world.run(self.world.now + 5)
        for each in self.instances:
            for close in (each.app.redis_service.aclose, each.app.queue_service.aclose):
                each.begin("close", lambda _, close=close: close(), 5.0)  # type: ignore[misc] # the default binds it
        self.world.run(self.world.now + 20)
        if self.redis.clients:
            self.world.violate(
                f"the server still has connections of {[c.link.who for c in self.redis.clients.values()]}"
            )
        for who, count in self.network.open_at.items():
            if count and who in [each.loop.name for each in self.instances]:
                self.world.violate(f"{who} still holds {count} connections")

    def _answered(self, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self.world.violate(f"an instance has not recovered: {outcome!r}")

    def _bury(self) -> None:
        self.world.ended = True
        for loop in (
            self.shop.loop,
            *self.callers.bare,
            *(loop for each in self.instances for loop in (*each.graves, each.loop)),
        ):
            loop.bury()


def simulate(seed: int | str, keep: set[int] | None = None, keep_trace: bool = False) -> Result:
    """Run a seed, or (`keep`) only those steps of its plan."""
    plan = plan_of(seed)
    if keep is not None:
        plan.steps = [step for number, step in enumerate(plan.steps) if number in keep]
    gc.disable()
    try:
        return Simulation(plan, keep_trace).run()
    finally:
        gc.enable()
