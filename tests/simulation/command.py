"""`python -m tests.simulation`: many seeds on every core, or one of them as a readable timeline."""

# ruff: noqa: T201 - it prints to a person

from __future__ import annotations

import argparse
import gc
import json
import logging
import multiprocessing
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from tests.simulation import mutants
from tests.simulation.plan import plan_of

CHUNK = 20  # seeds that one process takes at a time
# What the app's own services insist on when they are imported; nobody uses them here.
SETTINGS = {
    "REDIS_URL": "redis://redis.test:6379/0",
    "ServiceBusConnection": "Endpoint=sb://bus.test;SharedAccessKeyName=a;SharedAccessKey=a",
    "ORDERS_QUEUE": "orders",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing happened that may never happen."""
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--seed", type=int, help="run this one, and print what happened")
    options.add_argument("--keep", help="only these steps of its plan, e.g. 3,7,12")
    options.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    options.add_argument("--from", dest="first", type=int, default=0, help="the first one: to go on where a run ended")
    fault = "with this fault, one of mutants.py, put back into the code"
    options.add_argument("--mutant", choices=sorted(mutants.MUTANTS), metavar="FAULT", help=fault)
    options.add_argument("--mutants", action="store_true", help="how many of the seeds it takes to find each fault")
    options.add_argument("--fleet", action="store_true", help="200 instances through an outage, as a picture")
    options.add_argument("--report", type=Path, default=Path("build"), help="where its summary goes (default: build)")
    chosen = options.parse_args(arguments)
    _start(chosen.mutant)
    chosen.report.mkdir(parents=True, exist_ok=True)
    if chosen.mutants:
        return find_mutants(chosen)
    if chosen.fleet:
        from tests.simulation import fleet

        print(fleet.draw(chosen.report))
        return 0
    return many(chosen) if chosen.seed is None else show(chosen.seed, chosen.keep)


def show(seed: int, kept: str | None) -> int:
    """Print the plan, what happened, and what was broken."""
    from tests.simulation.simulation import simulate

    keep, plan = {int(number) for number in kept.split(",")} if kept else None, plan_of(seed)
    print(f"seed {seed}: {', '.join(f'{name} {value}' for name, value in vars(plan).items() if name[0] != 's')}")
    for number, step in enumerate(plan.steps):
        if keep is None or number in keep:
            print(f"  [{number:3}] {step.at:10.3f} s  {step}")
    result = simulate(seed, keep, keep_trace=True)
    for at, who, what in result.trace or ():
        print(f"{at:12.6f}  {who:8} {what}")
    print(f"{result.steps} turns, {result.virtual_s:.0f} virtual seconds, digest {result.digest:08x}")
    return int(bool(result.broken))


def shorten(seed: int, what: str) -> list[int]:
    """The steps of a failing plan without which it no longer fails so: halves, quarters, ... left out while it does."""
    from tests.simulation.simulation import simulate

    kept = list(range(len(plan_of(seed).steps)))
    size = len(kept) // 2
    while size:
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + size :]
            if any(_kind(other) == _kind(what) for other in simulate(seed, set(fewer)).broken):
                kept = fewer
            else:
                at += size
        size //= 2
    return kept


def _kind(what: str) -> str:
    """What is broken, whenever, and whatever the numbers."""
    return re.sub(r"[\d.]+|\b[0-9a-f]{8}\b", "", what)


# --- many seeds -------------------------------------------------------------------------------------------------------
def _chunk(seeds: range) -> dict[str, Any]:
    """What a chunk of seeds came to. Runs in a process of its own."""
    from tests.simulation.simulation import simulate

    total, faults, broken = Counter[str](), Counter[str](), []
    for seed in seeds:
        result = simulate(seed)
        total += result.counts + Counter(seeds=1, turns=result.steps, virtual_s=round(result.virtual_s))
        faults += result.faults
        broken += [(seed, what) for what in result.broken[:1]]
    gc.collect()  # what has outlived its world
    return {"total": total, "faults": faults, "broken": broken}


def _start(mutant: str | None) -> None:
    logging.disable(logging.CRITICAL)
    os.environ.update(SETTINGS)
    mutants.apply(mutant)


def _chunks(first: int, count: int, mutant: str | None) -> Iterator[dict[str, Any]]:
    """Up to the first chunk in which something is broken."""
    spawn = multiprocessing.get_context("spawn")  # a fresh import: a fault is put into the code while it is imported
    with ProcessPoolExecutor(os.cpu_count(), spawn, _start, (mutant,)) as pool:
        ranges = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
        for part in pool.map(_chunk, ranges):
            yield part
            if part["broken"]:
                pool.shutdown(wait=False, cancel_futures=True)
                return


def many(chosen: argparse.Namespace) -> int:
    """Run them all, or up to the first that fails, which is then shortened. Either way a summary is written."""
    began, total, faults, broken = time.monotonic(), Counter[str](), Counter[str](), []
    parts = _chunks(chosen.first, chosen.seeds, chosen.mutant)
    for part in track(parts, "seeds", -(-chosen.seeds // CHUNK), console=Console(stderr=True)):
        total += part["total"]
        faults += part["faults"]
        broken += part["broken"]
    took_s = time.monotonic() - began
    if chosen.mutant is None:
        _add_to_summary(chosen.report / "summary.json", chosen.first, total, faults, took_s)
    print(
        f"{total['seeds']} seeds in {took_s:.0f} s ({total['seeds'] / took_s:.1f}/s): {total['turns']} turns, "
        f"{total['virtual_s'] // 3600} virtual hours, {faults.total()} faults"
    )
    if not broken:
        return 0
    seed, what = broken[0]
    print(f"BROKEN by seed {seed}: {what}\nmake simulate SEED={seed}\nshortening it ...")
    mutant = f" --mutant {chosen.mutant}" if chosen.mutant else ""
    print(f"make simulate SEED={seed} ARGS='--keep {','.join(map(str, shorten(seed, what)))}{mutant}'")
    return 1


def _add_to_summary(file: Path, first: int, total: Counter[str], faults: Counter[str], wall_s: float) -> None:
    """Write what a run came to, or add it to the summary of the seeds just before it."""
    before = json.loads(file.read_text(encoding="utf-8")) if first and file.exists() else {}
    if before.get("to") != first:
        before = {"from": first, "total": {}, "faults": {}, "wall_s": 0.0}
    summary = {
        "from": before["from"],
        "to": first + total["seeds"],
        "total": dict(sorted((total + Counter(before["total"])).items())),
        "faults": dict((faults + Counter(before["faults"])).most_common()),
        "wall_s": round(wall_s + before["wall_s"], 1),
    }
    file.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def find_mutants(chosen: argparse.Namespace) -> int:
    """For each fault that is put back: the first seed that finds it, and by what."""
    rows = []
    for name in sorted(mutants.MUTANTS):
        parts = list(_chunks(chosen.first, chosen.seeds, name))
        seed, what = (parts[-1]["broken"] or [(None, None)])[0]
        rows.append({"fault": name, "found_by_seed": seed, "says": what and what[:200]})
        print(f"{name:40} {'NOT FOUND' if seed is None else seed!s:>9}  {(what or '')[:120]}", flush=True)
    lines = ",\n".join(map(json.dumps, rows))
    (chosen.report / "mutants.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return int(any(row["found_by_seed"] is None for row in rows))
