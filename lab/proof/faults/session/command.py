"""The trials of a session: each in a process of its own, with a fresh server and proxy, several at a time."""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from lab.proof.faults.session.faults import FAULTS
from lab.proof.faults.session.outcome import Outcome
from lab.proof.faults.session.pace import FULL, QUICK, Pace
from lab.proof.faults.session.report import as_json, show, verdicts, write_report
from lab.proof.faults.session.trial import endure
from lab.proof.fleet import forks
from lab.proof.results import console, save
from lab.proof.spike.local import allow_open_files


def run(options: argparse.Namespace, sides: Sequence[str]) -> int:
    """Run the trials, report; returns the exit code."""
    pace = QUICK if options.quick else FULL
    began = time.monotonic()
    outcomes = run_all(options.only or list(FAULTS), sides, pace, options.jobs)
    document = as_json(outcomes, pace, time.monotonic() - began)
    save(options, document, lambda folder, typed: write_report(folder, document, typed))
    show(outcomes, pace, console())
    return 1 if any(verdicts(outcomes, pace).values()) else 0


def run_all(faults: Sequence[str], sides: Sequence[str], pace: Pace, jobs: int) -> list[Outcome]:
    """Every fault on every side, `jobs` at a time. Raises what a trial raises."""
    with ProcessPoolExecutor(jobs, mp_context=forks.context, max_tasks_per_child=1) as processes:
        running = [processes.submit(run_one, fault, side, pace) for fault in faults for side in sides]
        return [trial.result() for trial in running]


def run_one(fault: str, side: str, pace: Pace) -> Outcome:
    """One trial, in a process of its own: what the other sides leave behind ends with it."""
    logging.disable(logging.CRITICAL)  # a session that is broken on purpose logs what it is meant to log
    warnings.simplefilter("ignore")
    allow_open_files()  # some sides leak connections
    return asyncio.run(endure(FAULTS[fault], side, pace))
