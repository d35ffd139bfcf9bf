"""What a seed decides before anything happens: the size of the world, who does what when, and what goes wrong.

A plan is a list of steps; any part of it can be left out and the rest still runs, which is how a failure is shortened.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.cluster_model import BLOCKS

CALLS = ("echo", "incr", "two", "script", "pipeline", "inner_deadline", "nested_run", "gather", "children")
KEYED = ("incr", "two", "pipeline", "nested_run", "gather")
SIDE_CALLS = ("transaction", "blocking")
STATES = ("loading", "busy", "oom", "misconf", "noreplicas", "noperm")
CLUSTERS = 0.3  # of the worlds
TOKENS = 0.1  # of the worlds
PUSHES = (b"key", b"\xff\xfe", b"", b"\xe2\x82")


@dataclass(frozen=True)
class Step:
    """At `at` seconds somebody does something; or something goes wrong, until `until`."""

    at: float
    kind: str
    about: dict[str, Any]
    until: float = 0.0

    def __str__(self) -> str:
        shown = {name: f"{value:.4g}" if type(value) is float else value for name, value in self.about.items()}
        about = ", ".join(f"{name} {value}" for name, value in shown.items())
        return f"{self.kind} {about}" + (f" until {self.until:.3f} s" if self.until else "")

    @property
    def calm_at(self) -> float:
        """When nobody knows of it any more: after a failure, a token is asked for again within 30 s."""
        return self.until + 32 * (self.about.get("part") == "identity")

    @property
    def label(self) -> str:
        """What a fault is counted as."""
        return f"{self.about['part']} {list(self.about)[1]}" if self.kind == "set" else self.kind


@dataclass
class Plan:
    """A world to be; durations in seconds. `lag_s`: how long the queue may take to hand a message out."""

    seed: str
    duration_s: float
    instances: int
    connections: int
    patience_s: float
    hold_s: float
    idle_check_s: float
    lag_s: float
    cluster: bool = False
    token_s: float = 0.0  # how long a token lasts; 0: there is a password
    steps: list[Step] = field(default_factory=list)


def plan_of(seed: int | str) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"{seed}/plan")
    pick, long = chance.choice, chance.random() < 0.05
    plan = Plan(
        str(seed),
        duration_s=chance.uniform(3600, 4500) if long else pick((30, 30, 60, 120)),
        instances=pick((1, 2)) if long else pick((1, 2, 3, 3, 4, 5)),
        connections=pick((1, 1, 2, 3)),
        patience_s=120.0 if long else pick((5.0, 20.0, 120.0)),
        hold_s=900.0 if long else pick((5.0, 60.0, 900.0)),
        idle_check_s=pick((15.0, 15.0, 1.0, 0.0)),
        lag_s=pick((0.01, 0.01, 0.5, 8.0)),
    )
    shop, session = pick(((1, 0), (1, 0.3), (1, 0.3), (0.2, 1.0), (0, 1.5)))
    plan.steps += _shop(chance, plan.duration_s, shop) + _session(chance, plan, session)
    if chance.random() < 0.85:
        plan.steps += _faults(chance, plan, long)
    of_cluster = random.Random(f"{seed}/cluster")
    plan.cluster = of_cluster.random() < CLUSTERS
    if plan.cluster:
        plan.steps = [step for step in plan.steps if step.kind != "bare"] + _moves(of_cluster, plan)
    if of_cluster.random() < TOKENS:
        plan.token_s, plan.duration_s = of_cluster.choice((240.0, 300.0)), max(plan.duration_s, 300.0)
        if of_cluster.random() < 0.5:
            about = {"part": "identity", "state": of_cluster.choice(("down", "hole"))}
            steps = (of_cluster.uniform(1, 100), of_cluster.uniform(1, 400))
            plan.steps.append(Step(steps[0], "set", about, sum(steps)))
    # each with chances of its own, so that all else of a seed stays what it was
    for more in (_more, _later, _last, _besides, _unserved, _emptied):
        plan.steps += more(random.Random(f"{seed}/{more.__name__[1:]}"), plan)
    plan.steps.sort(key=lambda step: step.at)
    return plan


def _more(chance: random.Random, plan: Plan) -> list[Step]:
    """What else a step is about. A failover may meet a slow network, where what closes takes its time; and what lies
    between may end what is idle: in silence only what the session no longer trusts."""
    more = []
    if plan.steps and chance.random() < 0.5:
        at, told = max(0.1, chance.choice(plan.steps).at - 0.01), chance.random() < 0.5
        more.append(Step(at, "end_idle", {"idle_s": 2.0 if told else max(plan.idle_check_s, 1.0), "told": told}))
    for step in plan.steps:
        if step.kind == "call":
            step.about["patient"] = chance.random() < 0.2
        elif step.kind == "bare":
            step.about["reset_s"] = chance.uniform(0, 0.01) if chance.random() < 0.3 else None
        elif step.kind == "fail_over":
            step.about["stays"] = chance.random() < 0.5 and not plan.cluster
            if chance.random() < 0.5:
                about = {"part": "network", "delay_s": (0.03, 0.3)}
                more.append(Step(step.at, "set", about, step.at + 2))
    return more


def _later(chance: random.Random, plan: Plan) -> list[Step]:
    """Some customers ask again after minutes. And a queue that does not confirm may refuse, too."""
    later = []
    for step in plan.steps:
        if step.kind == "order" and chance.random() < 0.1:
            again = step.at + chance.choice((70, 200, 400, 1500)) * chance.uniform(0.9, 1.1)
            later += [Step(again, "order", step.about)] * (again < plan.duration_s)
        elif "unconfirmed" in step.about:
            step.about["refused"] = chance.choice((0.0, 0.5))
    return later


def _last(chance: random.Random, plan: Plan) -> list[Step]:
    """A process that is ended in good order; and, where nothing is lost, a key that comes again with another order."""
    last, orders = [], [step for step in plan.steps if step.kind == "order"]
    if plan.steps and chance.random() < 0.2:
        at = max(0.1, chance.choice(plan.steps).at + chance.uniform(-0.05, 0.05))
        last.append(Step(at, "stop", {"instance": chance.randrange(plan.instances)}, at + chance.uniform(0.01, 5)))
    if orders and not any(step.kind in ("restart", "fail_over", "lose_node") for step in plan.steps):
        for step in chance.choices(orders, k=chance.choice((0, 0, 1, 3))):
            about = {**step.about, "quantity": step.about["quantity"] + 1}
            last.append(Step(step.at + chance.uniform(0, 1), "order", about))
    return last


def _besides(chance: random.Random, plan: Plan) -> list[Step]:
    """Operations that leave a child behind; sessions that are closed while side connections open, and go on; a token
    that is revoked."""
    aside, calls = plan.connections > 1, [step for step in plan.steps if step.kind == "call"]
    besides = [_call(chance, plan, ("straggler",), step.at) for step in calls[: chance.choice((0, 0, 2))]]
    for step in [step for step in plan.steps if step.kind == "stop"]:
        step.about["stays"] = chance.random() < 0.5
        for _ in range(4 * aside):
            at = max(0.1, step.at - chance.uniform(0, 0.02))
            besides.append(_call(chance, plan, SIDE_CALLS, at, instance=step.about["instance"]))
    if plan.token_s and chance.random() < 0.5 and not any("password" in step.about for step in plan.steps):
        at = chance.uniform(1, plan.duration_s - 40)
        besides.append(Step(at, "revoke", {"cut": chance.random() < 0.4}, at + 0.01))
        for number in range(plan.instances * aside):
            about = {"instance": number, "within_s": 2.5, "cancel_s": None}
            besides.append(_call(chance, plan, ("transaction",), at + chance.uniform(9, 30), **about))
    for step in besides:
        if step.kind == "call":
            step.about["patient"] = chance.random() < 0.2
    return besides


def _unserved(chance: random.Random, plan: Plan) -> list[Step]:
    """An order that nobody decides, and its customer asks every minute."""
    orders = [step for step in plan.steps if step.kind == "order"]
    if not orders or plan.duration_s < 3000 or chance.random() < 0.5:
        return []
    order = chance.choice(orders)
    minutes = [order.at + number * 60 + chance.uniform(2, 20) for number in range(20)]
    asked = [Step(at, "order", order.about) for at in minutes if at < plan.duration_s]
    nobody = [{"instance": number} for number in range(plan.instances)]
    return asked + [Step(max(order.at - 1, 0.1), "workerless", who, minutes[-1]) for who in nobody]


def _emptied(chance: random.Random, plan: Plan) -> list[Step]:
    """In the end a node gives all its slots away, just as everybody connects to it again; or closes meanwhile."""
    if not plan.cluster or not plan.steps or chance.random() < 0.7:
        return []
    at, node, to = max(step.at for step in plan.steps) + 4, chance.randrange(3), chance.randrange(3)
    steps = [Step(at, "end_idle", {"idle_s": 2.0, "told": True})]
    for block in range(node * BLOCKS // 3, (node + 1) * BLOCKS // 3):
        begins = at + chance.uniform(0, 0.02)
        steps.append(Step(begins, "move", {"block": block, "to": to}, begins + chance.uniform(0, 0.02)))
    for _ in range(8):
        about = {"within_s": 2.5, "cancel_s": None, "patient": False}
        steps.append(_call(chance, plan, KEYED, at + chance.uniform(0, 0.04), **about))
    if chance.random() < 0.5:
        begins = at + chance.uniform(0, 0.04)
        steps.append(Step(begins, "stop", {"instance": chance.randrange(plan.instances), "stays": True}, begins + 0.01))
    return steps


def _shop(chance: random.Random, duration_s: float, scale: float) -> list[Step]:
    pick, steps = chance.choice, []
    drops = [f"d{number}" for number in range(pick((1, 1, 2)))] if scale else []
    for drop in drops:
        about: dict[str, Any] = {"drop_id": drop, "stock": pick((3, 10, 40)), "per_customer": pick((2, 4, 10))}
        steps.append(Step(0.0, "put", about))
        if chance.random() < 0.3:
            again = {"stock": about["stock"] + pick((-2, 5, 20)), "per_customer": pick((2, 4))}
            closes = {"closes_in_s": pick((None, -10.0, duration_s / 4))}
            steps.append(Step(chance.uniform(1, duration_s), "put", {**about, **again, **closes}))
    customers, spike_at = pick((3, 15, 60)), chance.uniform(0.5, duration_s / 2)
    spike_s = pick((0.05, 2.0, duration_s / 2))
    for number in range(int(chance.uniform(10, 90) * scale)):
        order = {"drop_id": pick(drops), "customer": f"c{chance.randrange(customers)}", "quantity": pick((1, 1, 2, 3))}
        order["key"] = f"k{number}"
        if chance.random() < 0.1 and steps[-1].kind == "order":
            order = steps[-1].about  # a caller who sends the same twice
        steps.append(Step(spike_at + chance.uniform(0, spike_s), "order", order))
    return steps


def _session(chance: random.Random, plan: Plan, scale: float) -> list[Step]:
    pick, steps = chance.choice, []
    kinds = CALLS + (SIDE_CALLS * 2 if plan.connections > 1 else ())
    at = chance.uniform(1, plan.duration_s / 2)
    for _ in range(int(chance.uniform(20, 120) * scale)):
        near = chance.random() < 0.85
        at = at + pick((0, 0, 0.0005, 0.003, 0.05)) if near else chance.uniform(1, plan.duration_s)
        steps.append(_call(chance, plan, kinds, at))
    for _ in range(pick((0, 1, 2)) if scale else 0):
        about = {"calls": pick((5, 15, 30)), "size": pick((0, 100, 30_000))}
        steps.append(Step(at := chance.uniform(1, plan.duration_s), "bare", about))
        if chance.random() < 0.3:
            steps.append(Step(at, "push", {"payload": pick(PUSHES), "every_s": 0.01}, at + 1))
    return steps


def _call(chance: random.Random, plan: Plan, kinds: tuple[str, ...], at: float, **given: Any) -> Step:
    """One call of chance, but for what is given."""
    about = {
        "instance": chance.randrange(plan.instances),
        "kind": chance.choice(kinds),
        "within_s": chance.choice((0.002, 0.01, 0.1, 1.0, 2.5, 2.5)),
        "idempotent": chance.random() < 0.3,
        "cancel_s": chance.uniform(0, 0.01) if chance.random() < 0.15 else None,
    }
    return Step(at, "call", about | given)


def _faults(chance: random.Random, plan: Plan, long: bool) -> list[Step]:
    """Mostly about when somebody is there to notice, now and then within the same milliseconds."""
    pick, steps = chance.choice, []
    busy = [step.at for step in plan.steps if step.kind != "put"] or [1.0]
    for _ in range(1 + int(chance.expovariate(0.5))):
        near = pick(busy) + chance.uniform(-0.5, 0.5) * pick((1, 0.05))
        at = max(near if chance.random() < 0.7 else chance.uniform(0, plan.duration_s), 0.1)
        lasts_s = pick((0.01, 0.3, 2.0, 8.0, 25.0)) * chance.uniform(0.5, 1.5)
        if long and chance.random() < 0.5:
            lasts_s = chance.uniform(60, 1500)
        steps.append(Step(at, *_fault(chance, plan), at + lasts_s))
    return steps


def _moves(chance: random.Random, plan: Plan) -> list[Step]:
    """Blocks of slots that move, and nodes whose replica takes over, mostly while somebody calls."""
    pick, steps = chance.choice, []
    busy = [step.at for step in plan.steps if step.kind != "put"] or [1.0]
    kinds = KEYED + (("transaction",) * 2 if plan.connections > 1 else ())
    for _ in range(pick((0, 1, 4, 10))):
        at = max(0.1, pick(busy) + chance.uniform(-0.5, 0.5))
        if chance.random() < 0.8:
            about = {"block": chance.randrange(BLOCKS), "to": chance.randrange(3)}
            until = at + pick((0.001, 0.05, 0.5, 4.0)) * chance.uniform(0.5, 1.5)
            steps.append(Step(at, "move", about, until))
            if chance.random() < 0.15:  # to a node that nobody may ask
                steps.append(Step(at, "set", {"part": "redis", "may_ask": False}, until))
            for _ in range(pick((0, 4, 8))):
                steps += [_call(chance, plan, kinds, chance.uniform(at, until + 0.2))]
        else:
            lost = {"node": chance.randrange(3), "lost_s": pick((0.0, 0.0, 0.05, 0.5))}
            steps.append(Step(at, "lose_node", lost, at + pick((0.5, 2.0, 5.0))))
    return steps


def _fault(chance: random.Random, plan: Plan) -> tuple[str, dict[str, Any]]:
    """`set`: a part of the world has other values for a while; `cut`: and every connection is reset as it begins."""
    pick = chance.choice
    one = {"instance": chance.randrange(plan.instances)}
    delay_s = pick((0.05, 0.3, 1.0))
    return pick(
        (
            ("set", {"part": "redis", "state": pick(STATES)}),
            ("set", {"part": "redis", "state": pick(STATES)}),
            ("set", {"part": "redis", "password": "another", "cut": True}),
            ("set", {"part": "redis", "max_clients": pick((0, 1, 2)), "cut": True}),
            ("set", {"part": "network", "delay_s": (delay_s / 10, delay_s)}),
            ("set", {"part": "network", "held": True}),
            ("set", {"part": "network", "hole": True}),
            ("set", {"part": "network", "hole": True}),
            ("set", {"part": "network", "refusing": True, "cut": True}),
            ("set", {"part": "network", "split": 0.9}),
            ("set", {"part": "bus", "state": pick(("down", "hole", "busy"))}),
            ("set", {"part": "bus", "unconfirmed": pick((0.2, 0.7))}),
            ("set", {"part": "bus", "unconfirmed": pick((0.2, 0.7))}),
            ("set", {"part": "bus", pick(("doubled", "unsettled", "unhandled")): pick((0.05, 0.5))}),
            ("set", {"part": "bus", "shuffled": True}),
            ("restart", {"loading": pick((0.0, 0.5)), "lost_s": pick((0.0, 0.0, 0.5, 1.0)), "wiped": False}),
            ("restart", {"loading": 0.0, "lost_s": 0.0, "wiped": True}),
            ("fail_over", {"lost_s": pick((0.0, 0.05, 0.5)), "cut": chance.random() < 0.5}),
            ("close_idle", {"idle_s": pick((0.5, 5.0))}),
            ("push", {"payload": pick(PUSHES), "every_s": pick((0.005, 0.02))}),
            ("reset", {"every_s": pick((0.002, 0.1, 1.0)), "times": pick((1, 3, 10))}),
            ("half_close", {}),
            ("workerless", one),
            ("freeze", one),
            ("kill", one),
            ("kill", one),
        )
    )
