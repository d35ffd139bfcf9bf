"""`python -m tests.simulation`: many seeds on every core, or one of them as a readable timeline."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from . import mutants
from .plan import plan_of

CHUNK = 20  # seeds that one process takes at a time


def parser() -> argparse.ArgumentParser:
    """Its options."""
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--seed", type=int, help="run this one, and print what happened")
    options.add_argument("--keep", help="only these steps of its plan, e.g. 3,7,12")
    options.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    options.add_argument("--from", dest="first", type=int, default=0, help="the first seed: to go on where a run ended")
    options.add_argument("--json", type=Path, help="write what was counted")
    options.add_argument("--mutant", choices=sorted(mutants.MUTANTS), help="with this fault put back into the code")
    options.add_argument(
        "--mutants", type=int, metavar="SEEDS", help="how many seeds find each fault, of at most so many"
    )
    options.add_argument("--processes", type=int, default=os.cpu_count())
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing happened that may never happen."""
    chosen = parser().parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if chosen.mutants:
        return mutants_table(chosen.mutants, chosen.json)
    mutants.apply(chosen.mutant)
    if chosen.seed is not None:
        return show(chosen.seed, chosen.keep)
    return many(chosen)


# -- one seed --------------------------------------------------------------------------------------------------------
def show(seed: int, kept: str | None) -> int:
    """Print the plan, what happened, and what was broken."""
    from .simulation import simulate

    keep = {int(number) for number in kept.split(",")} if kept else None
    plan = plan_of(seed)
    print(f"seed {seed}: {plan.instances} instances with {plan.connections} connections each, {plan.duration_s:.0f} s, "
          f"patience {plan.patience_s:g} s, hold {plan.hold_s:g} s, idle check {plan.idle_check_s:g} s")  # fmt: skip
    for number, step in enumerate(plan.steps):
        if keep is None or number in keep:
            print(f"  [{number:3}] {step.at:10.3f} s  {step}")
    result = simulate(seed, keep, keep_trace=True)
    for at, who, what in result.trace or ():
        print(f"{at:12.6f}  {who:8} {what}")
    print(f"{result.steps} turns, {result.virtual_s:.0f} virtual seconds, digest {result.digest:08x}")
    for broken in result.broken:
        print(f"BROKEN {broken}")
    return int(bool(result.broken))


def shorten(seed: int) -> list[int]:
    """The steps of a failing plan without which it no longer fails: halves, quarters, ... left out while it does."""
    from .simulation import simulate

    kept = list(range(len(plan_of(seed).steps)))
    size = len(kept) // 2
    while size:
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + size :]
            if simulate(seed, set(fewer)).broken:
                kept = fewer
            else:
                at += size
        size //= 2
    return kept


# -- many seeds ------------------------------------------------------------------------------------------------------
def _chunk(seeds: range) -> dict[str, Any]:
    """What a chunk of seeds came to. Runs in a process of its own."""
    import gc

    from .simulation import simulate

    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    broken = []
    for seed in seeds:
        result = simulate(seed)
        total += result.counts + Counter(seeds=1, turns=result.steps, virtual_s=round(result.virtual_s))
        faults += result.faults
        if result.broken:
            broken.append((seed, result.broken[0]))
    gc.collect()
    return {"total": total, "faults": faults, "broken": broken}


def _start(mutant: str | None) -> None:
    logging.disable(logging.CRITICAL)
    mutants.apply(mutant)


def _chunks(first: int, count: int, processes: int, mutant: str | None) -> Iterator[dict[str, Any]]:
    spawn = multiprocessing.get_context("spawn")  # a fresh import: a fault is put into the code while it is imported
    with ProcessPoolExecutor(processes, spawn, _start, (mutant,)) as pool:
        ranges = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
        try:
            yield from pool.map(_chunk, ranges)
        finally:
            pool.shutdown(cancel_futures=True)


def many(chosen: argparse.Namespace) -> int:
    """Run them all, or up to the first that fails, which is then shortened."""
    began = time.monotonic()
    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    broken: list[tuple[int, str]] = []
    for part in _chunks(chosen.first, chosen.seeds, chosen.processes, chosen.mutant):
        total += part["total"]
        faults += part["faults"]
        broken += part["broken"]
        _progress(total["seeds"], chosen.seeds, time.monotonic() - began)
        if broken:
            break
    wall_s = time.monotonic() - began
    print(f"\n{_summary(total, faults, wall_s)}")
    if chosen.json:
        report = {"first": chosen.first, **total, "faults": dict(sorted(faults.items())), "wall_s": round(wall_s)}
        chosen.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if not broken:
        return 0
    seed, what = broken[0]
    print(f"BROKEN by seed {seed}: {what}\nmake simulate SEED={seed}\nshortening it ...")
    kept = ",".join(map(str, shorten(seed)))
    print(
        f"make simulate SEED={seed} ARGS='--keep {kept}'"
        + (f" # with --mutant {chosen.mutant}" if chosen.mutant else "")
    )
    return 1


def _progress(done: int, of: int, took_s: float) -> None:
    width = 40 * done // of
    print(f"\r[{'#' * width:40}] {done} of {of} seeds, {done / took_s:.1f}/s ", end="", file=sys.stderr, flush=True)


def _summary(total: Counter[str], faults: Counter[str], wall_s: float) -> str:
    rate = total["seeds"] / wall_s
    kinds = ", ".join(f"{count} {kind}" for kind, count in faults.most_common())
    return (
        f"{total['seeds']} seeds in {wall_s:.0f} s ({rate:.1f}/s), {total['turns']} turns, "
        f"{total['virtual_s'] / 3600:.0f} virtual hours, {sum(faults.values())} faults ({kinds})"
    )


def mutants_table(most: int, file: Path | None) -> int:
    """For each fault that is put back: the first seed that finds it, and what it finds."""
    rows = []
    for name in sorted(mutants.MUTANTS):
        seeds = 0
        found = None
        for part in _chunks(0, most, os.cpu_count() or 1, name):
            seeds += part["total"]["seeds"]
            found = part["broken"][0] if part["broken"] else None
            if found:
                break
        rows.append({"fault": name, "first_seed": found and found[0], "of": seeds, "says": found and found[1][:160]})
        print(
            f"{name:32} {'seed ' + str(found[0]) if found else f'NOT FOUND in {seeds}':20} {found and found[1][:120]}",
            flush=True,
        )
    if file:
        file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return int(any(row["first_seed"] is None for row in rows))
