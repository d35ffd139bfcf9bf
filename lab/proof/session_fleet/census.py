"""One strategy against the limit: starts server and fleet, counts clients meanwhile, and adds up what came back."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import redis

from lab.azure.processes import Child
from lab.azure.redis_server import RedisServer
from lab.proof.session_fleet.instance import KEY, VALUE, Task

ROOT = Path(__file__).parents[3]
SAMPLE_S = 0.02
START_S = 1.5  # until the first round: imports, and 5 ms per fork


@dataclass(frozen=True)
class Size:
    """`client_limit`: the server's maxclients, the lab's one connection included. `within_s`: ours keeps it."""

    processes: int = 200
    callers: int = 4
    client_limit: int = 250
    rounds: int = 4
    round_s: float = 1.0
    within_s: float = 2.5


@dataclass
class Census:
    """`peak_clients`: at once, without the lab's own. `silent`: processes that reported nothing."""

    strategy: str
    calls: int
    failed: int
    peak_clients: int
    refused_connects: int
    connects: int
    p50_ms: int
    p99_ms: int
    silent: int
    failures: dict[str, int] = field(default_factory=dict)


def take(strategy: str, size: Size, binary: Path | None = None) -> Census:
    """Run the fleet once. Raises RedisServerError if no server starts."""
    lines: list[str] = []
    with (
        RedisServer(binary=binary, appendonly=False, maxclients=size.client_limit) as server,
        redis.Redis.from_url(server.url, client_name="lab") as admin,
    ):
        admin.set(KEY, VALUE)
        begins_at = time.monotonic() + START_S + size.processes * 0.005
        task = Task(
            strategy, server.url, size.processes, size.callers, size.rounds, size.round_s, size.within_s, begins_at
        )
        before = _stats(admin)
        command = [sys.executable, "-m", "lab.proof.session_fleet.nursery", json.dumps(asdict(task))]
        with Child("fleet", command, cwd=ROOT, on_line=lines.append) as nursery:
            peak = _watch(admin, nursery)
        after = _stats(admin)
    return _sum_up(strategy, size, lines, peak, Counter(after) - Counter(before))


def _stats(admin: redis.Redis) -> dict[str, int]:
    stats: dict[str, Any] = admin.info("stats")
    return {name: int(stats[name]) for name in ("total_connections_received", "rejected_connections")}


def _watch(admin: redis.Redis, nursery: Child) -> int:
    peak = 0
    while nursery.wait(SAMPLE_S) is None:
        clients: dict[str, Any] = admin.info("clients")
        peak = max(peak, int(clients["connected_clients"]) - 1)
    return peak


def _sum_up(strategy: str, size: Size, lines: list[str], peak: int, stats: Counter[str]) -> Census:
    reports = [json.loads(line) for line in lines if line.startswith("{")]
    took = sorted(ms for report in reports for ms in report["took_ms"]) or [0]
    failures: Counter[str] = Counter()
    for report in reports:
        failures.update(report["failures"])
    calls = size.processes * size.callers * size.rounds
    reported = sum(len(report["took_ms"]) for report in reports)
    return Census(
        strategy,
        calls=calls,
        failed=sum(report["failed"] for report in reports) + calls - reported,
        peak_clients=peak,
        refused_connects=stats["rejected_connections"],
        connects=stats["total_connections_received"],
        p50_ms=took[len(took) // 2],
        p99_ms=took[len(took) * 99 // 100],
        silent=size.processes - len(reports),
        failures=dict(failures.most_common(5)),
    )
