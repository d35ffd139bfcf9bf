"""One world from its plan: carries the steps out, waits until it rests, and checks what may never have happened."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from azure.servicebus.amqp._amqp_message import DictMixin
from redis.asyncio import Redis
from redis.client import CaseInsensitiveDict
from redis.event import EventDispatcher

from services.app_services import AppServices
from services.redis_session import multiplexed_redis
from tests.simulation.bus import Bus
from tests.simulation.callers import Callers
from tests.simulation.cluster_model import PORTS, ClusterModel
from tests.simulation.instance import PASSWORD, Identity, Instance, settings_of
from tests.simulation.loop import World
from tests.simulation.network import Network
from tests.simulation.plan import Plan, Step, plan_of
from tests.simulation.redis_model import EPOCH_S, RedisModel
from tests.simulation.rules import Rules
from tests.simulation.shop import Shop

RECOVERY_S = 8.0  # connect_s + 2 s, and one more for the backoff: from then on nothing may fail
REST_S = 1800.0  # a world that has not come to rest by then has lost something
AUDIT_S = 5.0
ALL_TASKS = "_all_tasks" if sys.version_info < (3, 12) else "_scheduled_tasks"  # asyncio's
SLOW_S = 1.0  # a move that takes longer is noticed by who needs several keys at once


async def _last_call(app: AppServices) -> None:
    await app.redis_service.run(lambda redis: redis.incr("last"), idempotent=True, within_s=2.5)


@dataclass
class Result:
    """What became of a seed."""

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
        self.plan = plan
        self.world = world = World(plan.seed, keep_trace)
        self.redis = (ClusterModel if plan.cluster else RedisModel)(world, plan.seed, PASSWORD)
        self.network = self.redis.network = Network(world, self.redis, plan.seed)
        Rules(world, self.redis)
        self.bus = Bus(world, plan.seed, plan.lag_s)
        self.identity = Identity(world, plan.token_s)
        bound = plan.connections + (len(PORTS) + 1 if plan.cluster else 0)
        parts = self.network, self.bus, self.identity, settings_of(plan)
        self.instances = [Instance(*parts, f"i{number}", bound) for number in range(plan.instances)]
        self.shop = Shop(world, self.redis, self.bus, self.instances, plan.seed)
        self.callers = Callers(world, self.redis, self.network, plan.seed)
        self.people: list[asyncio.Task[Any]] = []
        self._troubles: Counter[bool] = Counter()
        self._begins, self._ends = self._how_it_begins(), self._how_it_ends()
        self._as_they_were = {part: {**vars(getattr(self, part))} for part in ("redis", "network", "bus", "identity")}

    def run(self) -> Result:
        """From the first step to the end of every task."""
        plan, world = self.plan, self.world
        for step in plan.steps:
            world.at(step.at, self._begin, step)
        world.later(AUDIT_S, self._audit)
        try:
            world.run(max([plan.duration_s, *(step.calm_at for step in plan.steps)]) + RECOVERY_S)
            if not world.broken:
                self._finish()
        finally:
            self.bury()
        faults = Counter(step.label for step in plan.steps if step.until)
        counts = Counter(f"calls {claim.outcome or 'lost'}" for claim in self.callers.claims)
        counts += Counter(calls=len(self.callers.claims), orders=len(self.shop.accepted), messages=len(self.bus.stored))
        return Result(world.broken, world.steps, world.now, world.digest, faults, counts, world.trace)

    def _begin(self, step: Step) -> None:
        if step.until:
            self.world.note("fault", str(step))
            self._trouble(step, 1)
            self.world.at(max(step.until, self.world.now), self._end, step)
        self._begins[step.kind](step, **step.about)

    def _end(self, step: Step) -> None:
        self.world.note("fault", f"{step.kind} ends")
        if (ends := self._ends.get(step.kind)) is not None:
            ends(**step.about)
        self.world.at(step.calm_at, self._trouble, step, -1)

    def _trouble(self, step: Step, more: int) -> None:
        """Pushes and moves harm nobody; but who needs several keys at once waits until they are in one place."""
        if step.kind == "push" or (step.kind == "move" and step.until - step.at < SLOW_S):
            return
        if self.world.now >= self.shop.calm_since:
            self.callers.wrong_since = self.world.now
        self._troubles[step.kind == "move"] += more
        calm_since = self.world.now + RECOVERY_S
        self.shop.calm_since = float("inf") if self._troubles.total() else calm_since
        self.callers.calm_since = float("inf") if self._troubles[False] else calm_since
        self.callers.unmoved_since = self.redis.calm_since = self.shop.calm_since

    def _audit(self) -> None:
        self.shop.audit()
        self.world.later(AUDIT_S, self._audit)

    # --- what people do, and what goes wrong --------------------------------------------------------------------------
    def _how_it_begins(self) -> dict[str, Callable[..., Any]]:
        """By the kind of a step; each takes it and what it is about."""
        redis: Any = self.redis
        shop, callers, instances = self.shop, self.callers, self.instances
        return {
            "put": lambda step, **about: self._come(shop.put(**about)),
            "order": lambda step, **about: self._come(shop.order(**about)),
            "call": lambda step, instance, **about: callers.call(instances[instance], **about),
            "bare": lambda step, **about: callers.bare_client(**about),
            "set": self._set,
            "restart": lambda step, loading, **about: redis.restart(
                (step.until - step.at) * (1 - loading), (step.until - step.at) * loading, **about
            ),
            "fail_over": lambda step, **about: redis.fail_over(read_only_s=min(step.until - step.at, 1.0), **about),
            "move": lambda step, **about: redis.begin_move(**about),
            "lose_node": lambda step, node, lost_s: redis.lose_node(node, lost_s, (step.until - step.at) / 2),
            "close_idle": self._close_idle,
            "end_idle": lambda step, **about: redis.end_idle(**about),
            "push": self._push,
            "reset": self._reset,
            "half_close": lambda step: self.network.half_close(),
            "workerless": lambda step, instance: setattr(instances[instance].trigger, "workerless", True),
            "freeze": lambda step, instance: instances[instance].freeze(step.until - step.at),
            "kill": lambda step, instance: instances[instance].kill(),
            "stop": lambda step, instance, stays: instances[instance].close(),
            "revoke": self._revoke,
        }

    def _how_it_ends(self) -> dict[str, Callable[..., Any]]:
        """Likewise; what is not here needs no end."""
        redis: Any = self.redis
        instances = self.instances
        return {
            "set": self._set_ends,
            "move": lambda block, to: redis.end_move(block),
            "workerless": lambda instance: setattr(instances[instance].trigger, "workerless", False),
            "kill": lambda instance: instances[instance].start(),
            "stop": lambda instance, stays: None if stays else instances[instance].restart(),
        }

    def _come(self, person: Coroutine[Any, Any, Any]) -> None:
        self.people.append(self.shop.loop.create_task(person))

    def _set(self, step: Step, part: str, cut: bool = False, **values: Any) -> None:
        for name, value in values.items():
            setattr(getattr(self, part), name, value)
        if cut:
            self.network.reset_all()

    def _set_ends(self, part: str, cut: bool = False, **values: Any) -> None:
        for name in values:
            setattr(getattr(self, part), name, self._as_they_were[part][name])
        if part == "network":
            self.network.release()
        self.bus.dispatch()

    def _revoke(self, step: Step, cut: bool) -> None:
        self.redis.revoked = self.identity.revoke()
        if cut:
            self.network.reset_all()

    def _close_idle(self, step: Step, idle_s: float) -> None:
        self.redis.close_idle(idle_s)
        self._again(step, idle_s / 2)

    def _push(self, step: Step, payload: bytes, every_s: float) -> None:
        self.redis.push(payload)
        if self.world.now < step.at + 60 * every_s:
            self._again(step, every_s)

    def _reset(self, step: Step, every_s: float, times: int) -> None:
        if self.network.links:
            self.network.random.choice(list(self.network.links)).reset()
        if self.world.now < step.at + (times - 1.5) * every_s:
            self._again(step, every_s)

    def _again(self, step: Step, after_s: float) -> None:
        if self.world.now + after_s < step.until:
            self.world.later(after_s, lambda: self._begins[step.kind](step, **step.about))

    # --- the end ------------------------------------------------------------------------------------------------------
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
        self._check_tasks(len(PORTS) + 1 + self.network.more if self.plan.cluster else 1)
        self._close()

    def _rest(self) -> None:
        end = self.world.now + REST_S
        while self._restless() and self.world.now < end and not self.world.broken:
            self.world.run(self.world.now + 5)
        for what in self._restless():
            self.world.violate(f"does not come to rest: {what}")

    def _restless(self) -> list[str]:
        calls = [f"{each.loop.name}: {what}" for each in self.instances for what in each.calls.values()]
        waiting = ["customers who wait"] * (not all(person.done() for person in self.people))
        return [f"{len(self.bus.queue)} messages"] * (len(self.bus.queue) > 0) + calls + waiting

    def _requeue(self) -> None:
        """As docs/operations.md: put a lost drop again, replay the dead letters, repeat what is still queued."""
        self.world.run(self.world.now + 610)  # past the window of duplicate detection
        for drop_id, put in self.shop.drops.items():
            if not self.redis.hash_of(f"{{drop:{drop_id}}}:meta".encode()):
                self._come(self.shop.put(drop_id, put.stock, put.per_customer))
        self._rest()
        self.bus.replay_dead()
        self._rest()
        for new in self.shop.undecided():
            self.shop.accepted.pop(new.order_id)
            self._come(self.shop.repeat(new))
        self._rest()
        for new in self.shop.undecided():
            self.world.violate(f"order {new.order_id} cannot be finished")
        if len(self.bus.dead):
            self.world.violate(f"{len(self.bus.dead)} dead letters cannot be finished")

    def _check_tasks(self, most: int) -> None:
        """A process has one task of a kind, for each node of a cluster; once it is closed, none."""
        for each in self.instances:
            kinds = Counter(task.get_name() for task in each.loop.under_way())
            if any(tasks > most for tasks in kinds.values()):
                self.world.violate(f"{each.loop.name} keeps too many tasks: {dict(kinds)}")

    def _close(self) -> None:
        """Every living instance still answers, and leaves no connection when it closes."""
        for each in self.instances:
            each.begin("a last call", _last_call, 2.5, self._answered)
        self.world.run(self.world.now + 5)
        for each in self.instances:
            each.close()
        self.world.run(self.world.now + 20)
        if self.redis.clients:
            self.world.violate(f"the server still has {[client.link.who for client in self.redis.clients.values()]}")
        for who in [each.loop.name for each in self.instances]:
            if self.network.open_at.get(who):
                self.world.violate(f"{who} still holds {self.network.open_at[who]} connections")
        self._check_tasks(0)

    def _answered(self, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self.world.violate(f"an instance has not recovered: {outcome!r}")

    def bury(self) -> None:
        """After the end of the world: nothing is left open, and nobody complains."""
        self.world.ended = True
        for loop in (self.shop.loop, *self.callers.bare):
            loop.bury()
        for loop, app in [life for each in self.instances for life in each.lived]:
            loop.bury()
            loop.bury(app.redis_service.aclose())


def simulate(seed: int | str, keep: set[int] | None = None, keep_trace: bool = False) -> Result:
    """Run a seed, or (`keep`) only those steps of its plan."""
    plan = plan_of(seed)
    if keep is not None:
        plan.steps = [step for number, step in enumerate(plan.steps) if number in keep]
    gc.disable()
    try:
        return _carried_out(plan, keep_trace)
    finally:
        gc.collect(0)  # the world is all of the youngest generation
        gc.enable()


def _carried_out(plan: Plan, keep_trace: bool) -> Result:
    simulation = Simulation(plan, keep_trace)
    clock = SimpleNamespace(time=lambda: EPOCH_S + simulation.world.now, monotonic=lambda: simulation.world.now)
    with (
        patch("services.redis_session.credential.time", clock),
        patch("services.redis_session.opening.os", SimpleNamespace(getpid=lambda: 12345)),  # said to the server
        _cheaper(),
    ):
        return simulation.run()


@contextmanager
def _cheaper() -> Iterator[None]:
    """What costs a world much and tells it nothing."""
    listeners, parsed = EventDispatcher(), cache(multiplexed_redis._options_of)
    with (
        patch(f"asyncio.tasks.{ALL_TASKS}.add", lambda _: None),  # each loop knows its own
        patch.object(CaseInsensitiveDict, "__init__", dict.update),  # redis-py's 170 callbacks: upper case already
        patch.object(Redis, "__init__", inspect.unwrap(Redis.__init__)),  # looks for deprecated arguments
        patch("redis.asyncio.client.EventDispatcher", lambda: listeners),  # four for each client, with six parts each
        patch("redis.asyncio.connection.EventDispatcher", lambda: listeners),
        patch.object(DictMixin, "__bool__", lambda _: True, create=True),  # the SDK counts a message's properties
        patch("services.redis_session.multiplexed_redis._options_of", parsed),
        patch("services.redis_session.reply_stream.READ_BYTES", 16_384),  # a world has no more to read at once
    ):
        yield
