"""`python -m lab bench`: how fast is one multiplexed connection, compared with other Redis clients?

Rounds are interleaved (every client in each round, one after the other) and only ratios within a round count, so that a
noisy machine disturbs all alike. It starts its own server and proxy on 127.0.0.1 and ends them; it asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lab.azure.redis_cluster import RedisCluster
from lab.azure.redis_server import RedisServer
from lab.proof import bench_cluster, wide_table
from lab.proof.bench_loads import KEYS, LARGE, LOADS, META, MIDDLING, SCRIPT, Load
from lab.proof.bench_sides import KEY, SIDES, VALUE, Call, Side
from lab.proof.delay_proxy import delay_proxy
from lab.proof.report.markdown import table
from lab.proof.report.page import write_page
from lab.proof.results import add_results, console, save

Right = Callable[[Any], bool]
Clients = Callable[[], set[Any]]  # the ids of those that the server has now
CONCURRENCY = (1, 32, 100)
ORDERS_PER_S = 1000  # with --app: so many per part and round, for each of --seconds
SMALL = "get64"  # the load of every side: a GET of 64 bytes
SMALL_LOADS = [(SMALL, Load(SIDES, VALUE.__eq__, concurrency)) for concurrency in CONCURRENCY]
HELP = "how fast one multiplexed connection is, compared with other clients"
DESCRIPTION = __doc__
EXAMPLES = """\
examples:
  python -m lab bench             one server, on loopback and 1 ms away, about 4 minutes
  python -m lab bench --cluster   clients of a cluster
  python -m lab bench --app       which part of the app costs an order how much CPU"""
MEASURES = ("calls_per_s", "cpu_us", "p50_ms", "p99_ms")
UVLOOP = "uvloop"
WHAT = {"one server": "GET of 64 bytes", "a cluster": "A cluster of three: GET over many slots, script over many drops"}
LINKS = {"loopback": 0.0, "1ms": 1.0}  # name: milliseconds added to the way to the server
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {}  # asyncio's own if not here
if importlib.util.find_spec(UVLOOP):
    LINKS[UVLOOP] = 0.0  # loopback once more, on that event loop
    LOOPS[UVLOOP] = lambda: importlib.import_module(UVLOOP).new_event_loop()


@dataclass(frozen=True)
class Cell:
    """One client in one round on one link: `cpu_us` is this process's CPU time per call, all threads, microseconds."""

    round: int
    link: str
    concurrency: int
    side: str
    load: str
    calls_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


async def drive(call: Call, concurrency: int, seconds: float, right: Callable[[Any], bool]) -> list[float]:
    """Call from `concurrency` tasks for `seconds`, each at least once; every call's latency in seconds."""
    latencies: list[float] = []
    ends = time.perf_counter() + seconds

    async def caller() -> None:
        began = time.perf_counter()
        while True:
            if not right(await call()):
                raise RuntimeError("a call had a wrong reply")
            latencies.append((now := time.perf_counter()) - began)
            began = now
            if now >= ends:
                return

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return latencies


async def measure(where: tuple[int, str, int, str, str], call: Call, seconds: float, right: Right) -> Cell:
    """One cell; `where`: its round, link, concurrency, side and load."""
    began, cpu = time.perf_counter(), time.process_time()
    latencies = sorted(await drive(call, where[2], seconds, right))
    elapsed, cpu, count = time.perf_counter() - began, time.process_time() - cpu, len(latencies)
    p50_s, p99_s = latencies[count // 2], latencies[min(count - 1, count * 99 // 100)]
    return Cell(*where, count / elapsed, cpu / count * 1e6, p50_s * 1e3, p99_s * 1e3)


async def opened(
    side: Side, port: int, clients: Clients, load: tuple[int, float, Right], stack: AsyncExitStack
) -> tuple[Call, int]:
    """A side's call, and how many of the server's clients it was under its first load: concurrency, seconds, right.

    By their ids: a count of all of them would tell what earlier sides close late, too.
    """
    before = clients()
    call = await stack.enter_async_context(side(port))
    await drive(call, *load)
    return call, len(clients() - before)


async def measure_loads(
    link: str,
    loads: Iterable[tuple[str, Load]],
    port: int,
    clients: Clients,
    rounds: int,
    seconds: float,
    advance: Callable[[], None],
) -> tuple[list[Cell], dict[str, int]]:
    """All cells on one link, and how many of the server's `clients` each side was at most."""
    cells: list[Cell] = []
    connections: dict[str, int] = {}
    for name, load in loads:
        async with AsyncExitStack() as stack:
            calls: dict[str, Call] = {}
            first = load.concurrency, seconds / 4, load.right
            for side_name, side in load.sides.items():
                calls[side_name], count = await opened(side, port, clients, first, stack)
                connections[side_name] = max(connections.get(side_name, 0), count)
            for number in range(rounds):
                for side_name, call in calls.items():
                    where = number, link, load.concurrency, side_name, name
                    cells.append(await measure(where, call, seconds, load.right))
                    advance()
    return cells, connections


def ratio(
    cells: list[Cell],
    other: str,
    concurrency: int = 100,
    link: str = "loopback",
    field: str = "calls_per_s",
    load: str = SMALL,
    ours: str = "ours",
) -> float | None:
    """Ours divided by another's in the same round, the median over the rounds; None if the other is not installed."""
    quotients = [mine / theirs for mine, theirs in _pairs(cells, ours, other, (link, concurrency, load), field)]
    return round(statistics.median(quotients), 3) if quotients else None


def run_over_client_us(cells: list[Cell]) -> float | None:
    """CPU of a GET through `run` above the same call on the bare client, in microseconds."""
    differences = [run - ours for run, ours in _pairs(cells, "run", "ours", ("loopback", 100, "get"), "cpu_us")]
    return round(statistics.median(differences), 2) if differences else None


def _pairs(
    cells: list[Cell], ours: str, other: str, where: tuple[str, int, str], field: str
) -> list[tuple[float, float]]:
    found = {(c.round, c.side): getattr(c, field) for c in cells if (c.link, c.concurrency, c.load) == where}
    return [
        (value, found[number, other])
        for (number, side), value in found.items()
        if side == ours and (number, other) in found
    ]


def ratios(cells: list[Cell]) -> dict[str, float | None]:
    return {
        "vs_default_c100": ratio(cells, "default pool", 100, "loopback"),
        "cpu_vs_default_c100": ratio(cells, "default pool", 100, "loopback", "cpu_us"),
        "vs_default_c100_1ms": ratio(cells, "default pool", 100, "1ms"),
        "vs_glide_c100": ratio(cells, "valkey-glide", 100, "loopback"),
        "vs_bare_c100": ratio(cells, "bare", 100, "loopback"),
        "p50_vs_default_c1": ratio(cells, "default pool", 1, "loopback", "p50_ms"),
        "uvloop_vs_default_c100": ratio(cells, "default pool", 100, UVLOOP),
        "uvloop_vs_bare_c100": ratio(cells, "bare", 100, UVLOOP),
        "vs_bare_c100_1ms": ratio(cells, "bare", 100, "1ms"),
        "run_evalsha_vs_bare_c100": ratio(cells, "bare", load="script", ours="run"),
        "run_evalsha_cpu_vs_default_c100": ratio(cells, "default pool", field="cpu_us", load="script", ours="run"),
        "run_evalsha_cpu_vs_glide_c100": ratio(cells, "valkey-glide", field="cpu_us", load="script", ours="run"),
        "run_over_client_us": run_over_client_us(cells),
        "get64k_vs_glide_c100": ratio(cells, "valkey-glide", load="get64k"),
        "set1k_vs_glide_c100": ratio(cells, "valkey-glide", load="set1k"),
        "pipeline100_vs_glide": ratio(cells, "valkey-glide", concurrency=20, load="pipeline100"),
    }


def cluster_ratios(cells: list[Cell], connections: dict[str, int]) -> dict[str, float | None]:
    """The same, on a cluster."""
    return {
        "cluster_vs_redis_cluster_c100": ratio(cells, "RedisCluster", load="get"),
        "cluster_cpu_vs_redis_cluster_c100": ratio(cells, "RedisCluster", field="cpu_us", load="get"),
        "cluster_vs_glide_c100": ratio(cells, "valkey-glide", load="get"),
        "cluster_run_script_vs_redis_cluster_c100": ratio(cells, "RedisCluster", load="script", ours="run"),
        "cluster_run_script_cpu_vs_redis_cluster_c100": ratio(
            cells, "RedisCluster", field="cpu_us", load="script", ours="run"
        ),
        "cluster_run_script_vs_glide_c100": ratio(cells, "valkey-glide", load="script", ours="run"),
        "cluster_connections_per_shard": round(connections["ours"] / bench_cluster.PRIMARIES, 2),
    }


def medians(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Per client, link, concurrency and load, the median over the rounds of everything that was measured."""
    cells = [Cell(**row) for row in report["rounds"]]
    found = []
    for side in report["connections"]:
        for where in _columns(report):
            of = [c for c in cells if c.side == side and (c.link, c.concurrency, c.load) == where]
            measured = {name: round(statistics.median(getattr(c, name) for c in of), 2) for name in MEASURES}
            found.append(dict(zip(("side", "link", "concurrency", "load"), (side, *where), strict=True)) | measured)
    return found


def _columns(report: dict[str, Any]) -> list[tuple[str, int, str]]:
    """What every side was measured at: the small load, or on a cluster every load."""
    where = [(row["link"], row["concurrency"], row["load"]) for row in report["rounds"]]
    return list(dict.fromkeys([one for one in where if one[2] == SMALL] or where))


def write_report(folder: Path, report: dict[str, Any], command: str) -> Path:
    """The page of the medians, and its numbers beside it; returns the page. Raises OSError."""
    text = f"{WHAT[report['on']]}: calls/s; p50 / p99 in ms; CPU per call. The medians of interleaved rounds."
    ratios = table(["ours / theirs", "median over the rounds"], [[n, str(r)] for n, r in report["ratios"].items()])
    parts = [text, table(_head(report), _rows(report, "; ")), ratios]
    numbers = {name: report[name] for name in ("seconds", "ratios", "connections")} | {"medians": medians(report)}
    return write_page(folder, "The session's client beside others", parts, numbers, command)


def show(report: dict[str, Any], console: Console) -> None:
    console.print(f"{WHAT[report['on']]}: calls/s, p50 / p99 in ms, CPU per call in us")
    wide_table.show(_head(report), _rows(report, "\n"), console)
    console.print("Ours / theirs, the median over the rounds:", report["ratios"])


def _head(report: dict[str, Any]) -> list[str]:
    columns = _columns(report)
    titles = [f"{link if load == SMALL else load} c={concurrency}" for link, concurrency, load in columns]
    return ["client", "connections", *titles]


def _rows(report: dict[str, Any], between: str) -> list[list[str]]:
    found = medians(report)
    return [
        [side, str(count), *(_cell(one, between) for one in found if one["side"] == side)]
        for side, count in report["connections"].items()
    ]


def _cell(one: dict[str, Any], between: str) -> str:
    return between.join(
        (f"{one['calls_per_s']:,.0f}", f"{one['p50_ms']:.2f} / {one['p99_ms']:.2f}", f"{one['cpu_us']:.0f} us")
    )


def prepare(admin: redis.Redis) -> None:
    """The values that are read, and the drop that the script places orders in."""
    admin.mset({KEY: VALUE, "large": LARGE, "middling": MIDDLING})
    admin.hset(KEYS[0], mapping=META)
    admin.script_load(SCRIPT._text)


def run_server(rounds: int, seconds: float, advance: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Measure everything: `rounds` rounds of `seconds` per client, link and concurrency; `advance` after each cell."""
    cells: list[Cell] = []
    connections: dict[str, int] = {}
    began = time.monotonic()
    with RedisServer(appendonly=False) as server, redis.Redis.from_url(server.url) as admin:
        prepare(admin)

        def clients() -> set[Any]:
            return {one["id"] for one in admin.client_list()}

        for link, delay_ms in LINKS.items():
            with delay_proxy(server.port, delay_ms) as port, asyncio.Runner(loop_factory=LOOPS.get(link)) as runner:
                found, counts = runner.run(measure_loads(link, SMALL_LOADS, port, clients, rounds, seconds, advance))
            cells += found
            connections = connections or counts
        found, _ = asyncio.run(measure_loads("loopback", LOADS.items(), server.port, clients, rounds, seconds, advance))
    return _report("one server", cells + found, ratios(cells + found), connections, began)


def run_cluster(rounds: int, seconds: float, advance: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The same for clients of a cluster, each load at concurrency 100."""
    began = time.monotonic()
    with RedisCluster(bench_cluster.PRIMARIES) as cluster, redis.RedisCluster.from_url(cluster.url) as admin:
        bench_cluster.prepare(admin)
        port, clients = cluster.nodes[0].port, lambda: bench_cluster.clients(admin)
        cells, connections = asyncio.run(
            measure_loads("loopback", bench_cluster.LOADS.items(), port, clients, rounds, seconds, advance)
        )
    return _report("a cluster", cells, cluster_ratios(cells, connections), connections, began)


def _report(
    on: str, cells: list[Cell], found: dict[str, float | None], connections: dict[str, int], began: float
) -> dict[str, Any]:
    return {
        "on": on,
        "rounds": [asdict(cell) for cell in cells],
        "ratios": found,
        "connections": connections,
        "seconds": round(time.monotonic() - began, 1),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5: about 4 minutes)")
    parser.add_argument("--seconds", type=float, default=0.4, help="per client, link and concurrency (default 0.4)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--cluster", action="store_true", help="clients of a cluster of three primaries instead")
    what.add_argument(
        "--app", action="store_true", help="an order through the whole app: which part costs how much CPU"
    )


def run(options: argparse.Namespace) -> int:
    shown_on = console()
    if options.app:
        return command_app(options, shown_on)
    with warnings.catch_warnings(), Progress(console=shown_on, transient=True) as progress:
        warnings.simplefilter("ignore", DeprecationWarning)  # of the libraries compared
        loads, measured = (bench_cluster.LOADS, run_cluster) if options.cluster else (LOADS, run_server)
        per_round = sum(len(load.sides) for load in loads.values())
        if not options.cluster:
            per_round += len(LINKS) * len(CONCURRENCY) * len(SIDES)
        task = progress.add_task("measuring", total=options.rounds * per_round)
        report = measured(options.rounds, options.seconds, lambda: progress.advance(task))
    save(options, report, lambda folder, typed: write_report(folder, report, typed))
    show(report, shown_on)
    return 0


def command_app(options: argparse.Namespace, console: Console) -> int:
    """`--app`: measure and show the app's parts, and write the JSON."""
    from lab.proof import bench_app  # needs what `make run` does not install

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("placing orders", total=1 + 7 * options.rounds)  # to warm up; six parts and the import
        count = round(ORDERS_PER_S * options.seconds)
        report = bench_app.run(options.rounds, count, lambda: progress.advance(task))
    shown = Table("part", "CPU of the app's process per order, us", title="An order through the whole app")
    for part, cost in report["cpu_us_per_order"].items():
        shown.add_row(part, f"{cost:,.0f}")
    console.print(shown)
    console.print(f"import function_app takes {report['import_vs_libraries']} times the CPU of importing its libraries")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0
