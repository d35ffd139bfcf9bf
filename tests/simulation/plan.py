"""What a seed decides before anything happens: the size of the world, who does what when, and what goes wrong.

A plan is a list of steps; any part of it can be left out and the rest still runs, which is how a failure is shortened.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

CALLS = ("echo", "incr", "two", "script", "pipeline", "inner_deadline", "nested_run", "gather", "children")
SIDE_CALLS = ("transaction", "blocking")
REDIS_STATES = ("loading", "busy", "oom", "misconf", "noreplicas", "noperm")
PUSHES = (b"key", b"\xff\xfe", b"", b"\xe2\x82")


@dataclass(frozen=True)
class Step:
    """At `at` seconds somebody does something, or something goes wrong until `until`."""

    at: float
    kind: str
    about: dict[str, Any]
    until: float = 0.0
    fault: bool = False

    def __str__(self) -> str:
        about = " ".join(
            f"{name}={value if not isinstance(value, float) else round(value, 4)}" for name, value in self.about.items()
        )
        return f"{self.kind} {about}" + (f" until {self.until:.3f}" if self.until else "")


@dataclass
class Plan:
    """A world to be: durations in seconds."""

    seed: str
    duration_s: float
    instances: int
    connections: int
    patience_s: float
    hold_s: float
    idle_check_s: float
    lag_s: float  # how long the queue may take to hand a message out
    steps: list[Step] = field(default_factory=list)


def plan_of(seed: int | str) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"{seed}/plan")
    long = chance.random() < 0.05
    duration_s = chance.uniform(3600, 5400) if long else chance.choice((30, 30, 60, 120))
    plan = Plan(
        str(seed),
        duration_s,
        instances=chance.choice((1, 2, 3, 3, 4, 5)),
        connections=chance.choice((1, 1, 2, 3)),
        patience_s=120.0 if long else chance.choice((5.0, 20.0, 120.0)),
        hold_s=900.0 if long else chance.choice((5.0, 60.0, 900.0)),
        idle_check_s=chance.choice((15.0, 15.0, 1.0, 0.0)),
        lag_s=chance.choice((0.01, 0.01, 0.5, 8.0)),
    )
    shop, session = chance.choice(((1, 0), (1, 0.3), (1, 0.3), (0.2, 1.0), (0, 1.5)))
    plan.steps += _shop(chance, duration_s, shop) + _session(chance, plan, session)
    if chance.random() < 0.85:
        plan.steps += _faults(chance, plan, long)
    plan.steps.sort(key=lambda step: step.at)
    return plan


def _shop(chance: random.Random, duration_s: float, scale: float) -> list[Step]:
    drops = chance.choice((1, 1, 2))
    steps = []
    for drop in range(drops if scale else 0):
        stock = chance.choice((3, 10, 40))
        steps.append(
            Step(0.0, "put", {"drop_id": f"d{drop}", "stock": stock, "per_customer": chance.choice((2, 4, 10))})
        )
        if chance.random() < 0.3:
            about = {
                "drop_id": f"d{drop}",
                "stock": stock + chance.choice((-2, 5, 20)),
                "per_customer": chance.choice((2, 4)),
            }
            about["closes_in_s"] = chance.choice((None, -10.0, duration_s / 4))
            steps.append(Step(chance.uniform(1, duration_s), "put", about))
    customers = chance.choice((3, 15, 60))
    spike_at, spike_s = chance.uniform(0.5, duration_s / 2), chance.choice((0.05, 2.0, duration_s / 2))
    for number in range(int(chance.uniform(10, 90) * scale)):
        about = {
            "drop_id": f"d{chance.randrange(drops)}",
            "customer": f"c{chance.randrange(customers)}",
            "quantity": chance.choice((1, 1, 2, 3)),
            "key": f"k{number}",
        }
        if chance.random() < 0.1 and steps[-1].kind == "order":
            about = steps[-1].about  # a caller who sends the same twice
        steps.append(Step(spike_at + chance.uniform(0, spike_s), "order", about))
    return steps


def _session(chance: random.Random, plan: Plan, scale: float) -> list[Step]:
    steps = []
    kinds = CALLS + (SIDE_CALLS * 2 if plan.connections > 1 else ())
    at = chance.uniform(1, plan.duration_s / 2)
    for _ in range(int(chance.uniform(20, 120) * scale)):
        at = (
            at + chance.choice((0, 0, 0.0005, 0.003, 0.05))
            if chance.random() < 0.85
            else chance.uniform(1, plan.duration_s)
        )
        about = {
            "instance": chance.randrange(plan.instances),
            "kind": chance.choice(kinds),
            "within_s": chance.choice((0.002, 0.01, 0.1, 1.0, 2.5, 2.5)),
            "idempotent": chance.random() < 0.3,
            "cancel_s": chance.uniform(0, 0.01) if chance.random() < 0.15 else None,
        }
        steps.append(Step(at, "call", about))
    for _ in range(chance.choice((0, 1, 2)) if scale else 0):
        about = {"calls": chance.choice((5, 15, 30)), "size": chance.choice((0, 100, 100_000))}
        steps.append(Step(chance.uniform(1, plan.duration_s), "bare", about))
    return steps


def _faults(chance: random.Random, plan: Plan, long: bool) -> list[Step]:
    steps = []
    busy = [step.at for step in plan.steps if step.kind != "put"] or [1.0]
    for _ in range(1 + int(chance.expovariate(0.5))):
        at = (
            chance.choice(busy) + chance.uniform(-0.5, 0.5) * chance.choice((1, 0.05))
            if chance.random() < 0.7
            else chance.uniform(0, plan.duration_s)
        )
        at = max(at, 0.1)
        lasts = chance.choice((0.01, 0.3, 2.0, 8.0, 25.0)) * chance.uniform(0.5, 1.5)
        if long and chance.random() < 0.5:
            lasts = chance.uniform(60, 1500)
        kind, about = _fault(chance, plan)
        steps.append(Step(at, kind, about, at + lasts, fault=True))
    return steps


def _fault(chance: random.Random, plan: Plan) -> tuple[str, dict[str, Any]]:
    instance = chance.randrange(plan.instances)
    some: list[tuple[str, dict[str, Any]]] = [
        ("redis_state", {"state": chance.choice(REDIS_STATES)}),
        ("redis_state", {"state": chance.choice(REDIS_STATES)}),
        ("redis_restart", {"loading_s": chance.choice((0.0, 1.0)), "lost_s": chance.choice((0.0, 0.0, 0.5, 1.0))}),
        ("redis_wiped", {}),
        ("redis_failover", {"lost_s": chance.choice((0.0, 0.05, 0.5)), "cut": chance.random() < 0.5}),
        ("redis_password", {}),
        ("redis_full", {"places": chance.choice((0, 1, 2))}),
        ("redis_closes_idle", {"idle_s": chance.choice((0.5, 5.0))}),
        ("redis_pushes", {"payload": chance.choice(PUSHES), "every_s": chance.choice((0.001, 0.01))}),
        ("net_slow", {"delay_s": chance.choice((0.05, 0.3, 1.0))}),
        ("net_held", {}),
        ("net_hole", {}),
        ("net_hole", {}),
        ("net_resets", {"every_s": chance.choice((0.002, 0.1, 1.0)), "times": chance.choice((1, 3, 10))}),
        ("net_half_close", {}),
        ("net_refuses", {}),
        ("net_splits", {}),
        ("bus_state", {"state": chance.choice(("down", "hole", "busy"))}),
        ("bus_chance", {"of": "unconfirmed", "chance": chance.choice((0.2, 0.7))}),
        ("bus_chance", {"of": "unconfirmed", "chance": chance.choice((0.2, 0.7))}),
        (
            "bus_chance",
            {"of": chance.choice(("doubled", "unsettled", "unhandled")), "chance": chance.choice((0.05, 0.5))},
        ),
        ("bus_shuffles", {}),
        ("workerless", {"instance": instance}),
        ("freeze", {"instance": instance}),
        ("kill", {"instance": instance}),
        ("kill", {"instance": instance}),
    ]
    return chance.choice(some)
