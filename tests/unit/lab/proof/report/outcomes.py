"""Made-up spikes to report on: ours, one that leaks connections, and one in which nothing happened."""

from __future__ import annotations

from typing import Any

from lab.proof.outcome import PERCENTILES, Moment, Outcome, Parameters
from lab.proof.strategies import OURS

LIMIT = 250
FAULTS: dict[str, Any] = {
    "faults": [
        {
            "name": "redis-kill",
            "title": "Redis is killed and comes back",
            "accepted": 2417,
            "lost": 0,
            "decided_twice": 0,
            "oversold": 0,
            "dead_lettered": 0,
            "leaked": 0,
            "replayed": 0,
            "client_errors": {"503": 112},
            "errors_per_s": {"2": 80, "3": 32},
            "lasted_s": 3.0,
            "longest_answer_s": 5.02,
            "recovery_s": 1.3,
            "bound_s": 6.0,
            "broken": [],
        },
        {
            "name": "links",
            "title": "Service Bus drops every link",
            "accepted": 2391,
            "lost": 3,
            "decided_twice": 0,
            "oversold": 0,
            "dead_lettered": 1,
            "leaked": 0,
            "replayed": 0,
            "client_errors": {},
            "longest_answer_s": 7.9,
            "recovery_s": None,
            "bound_s": 12.0,
            "broken": ["3 orders lost"],
        },
    ],
    "seconds": 71.2,
}


def moment(t: float, clients: int | None = 0, **totals: int) -> Moment:
    """A sample of which only what matters was given."""
    names = ("refused_connections", "instances", "waiting", "scheduled", "accepted", "failed", "queue", "decided")
    return Moment(t, clients, **{name: totals.get(name, 0) for name in names})


def ours(orders: int = 12000, samples: int = 240) -> Outcome:
    """Everything is accepted and decided; Redis refuses nobody."""
    timeline = [
        moment(
            step / 4,
            min(204, 4 + 25 * step),
            instances=min(200, 25 * step),
            scheduled=orders * step // samples,
            accepted=orders * step // samples,
            decided=orders * step // samples * 9 // 10 if step < samples else orders,
            queue=orders * step // samples // 10 if step < samples else 0,
        )
        for step in range(1, samples + 1)
    ]
    return _outcome(OURS, timeline, orders, peak_clients=204, confirmed=9990, refused=2010)


def leaky(strategy: str = "never-closed", orders: int = 12000, samples: int = 240) -> Outcome:
    """Two of three requests fail, once Redis is full; it does not always answer the lab either."""
    timeline = [
        moment(
            step / 4,
            None if step % 17 == 0 else min(249, 10 * step),
            refused_connections=130 * step,
            instances=200,
            scheduled=orders * step // samples,
            accepted=orders * step // samples // 3,
            failed=orders * step // samples - orders * step // samples // 3,
            decided=orders * step // samples // 3,
        )
        for step in range(1, samples + 1)
    ]
    last = timeline[-1]
    failures = {"503": last.failed - 771, "timeout": 771}
    return _outcome(
        strategy, timeline, orders, slower=40, peak_clients=249, confirmed=last.accepted - 2, lost=2, failures=failures
    )


def nothing() -> Outcome:
    """A run that came to nothing."""
    return Outcome(OURS, instances=2, stock=5)


def _outcome(strategy: str, timeline: list[Moment], orders: int, slower: float = 1, **numbers: Any) -> Outcome:
    last = timeline[-1]
    return Outcome(
        strategy,
        instances=200,
        stock=9990,
        orders=orders,
        accepted=last.accepted,
        failed=last.failed,
        seconds=61.4,
        orders_per_second=round(last.accepted / 61.4, 1),
        client_limit=LIMIT,
        refused_connections=last.refused_connections,
        p50_ms=12.3 * slower,
        p99_ms=75.6 * slower,
        latency_ms=[(share, share * slower) for share in PERCENTILES],
        decision_ms=[(share, share * slower * 7) for share in PERCENTILES],
        cpu_s={"app": 41.2, "redis": 6.3},
        timeline=timeline,
        parameters=Parameters(strategy, orders, 4000, 200, LIMIT, 60.0, 9990),
        machine={"cpu": "2 cores", "python": "3.11.7"},
        **numbers,
    )
