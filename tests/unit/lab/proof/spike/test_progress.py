"""The line that says how a run goes: rewritten on a terminal, seldom and whole elsewhere."""

from __future__ import annotations

import asyncio
import io
import types
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer
from lab.proof.fleet.bus_process import BusProcess
from lab.proof.fleet.fleet import Fleet
from lab.proof.fleet.front import Front
from lab.proof.fleet.instance import Task
from lab.proof.outcome import Moment
from lab.proof.spike.load import Load
from lab.proof.spike.progress import CLEAR, Progress, line
from lab.proof.spike.stage import Plan, Stage
from lab.proof.spike.timeline import Timeline
from lab.tickets.books import Books
from lab.tickets.shop import Shop


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def timeline(*moments: Moment) -> Timeline:
    """Of a stage on which nothing was started."""
    fleet = Fleet(Task(Path("app"), Path("log"), {}))
    stage = Stage(Plan(4, 4, 12), RedisServer(), BusProcess({}), fleet, Front(fleet), None, Path("folder"), [])
    load = Load("http://127.0.0.1:1", Shop("drop-1", 1))
    return Timeline(stage, load, Books(Redis(), "drop-1", load.answers.accepted), Redis(), list(moments))


def moment(t: float, clients: int | None = 9, scheduled: int = 0) -> Moment:
    return Moment(t, clients, 0, 8, 2, scheduled, scheduled, 3, 5, 70)


def test_on_a_terminal_a_line_takes_the_place_of_the_last_one() -> None:
    stream = Terminal()
    progress = Progress("2/6 ", stream)
    progress.say("one")
    progress.say("two")
    assert stream.getvalue() == f"{CLEAR}2/6 one ...{CLEAR}2/6 two ..."


def test_on_a_terminal_the_line_is_clean_afterwards() -> None:
    stream = Terminal()
    Progress(stream=stream).done()
    assert stream.getvalue() == CLEAR


def test_elsewhere_each_is_a_line_of_its_own_without_control_characters() -> None:
    stream = io.StringIO()
    progress = Progress("2/6 ", stream)
    progress.say("one")
    progress.say("two")
    progress.done()
    assert stream.getvalue() == "2/6 one ...\n2/6 two ...\n"


def test_it_is_written_to_stderr_so_that_results_can_be_piped(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().say("one")
    assert capsys.readouterr() == ("", "one ...\n")


async def test_the_line_tells_instances_clients_rate_errors_queue_and_time_left() -> None:
    shown = line(timeline(moment(1.0, scheduled=10), moment(3.0, scheduled=110)), seconds=10)
    assert shown == "8 instances, 9/12 clients, 50 orders/s, 3 errors, 5 queued, 70 decided, 7 s left"


async def test_clients_that_could_not_be_counted_are_a_dash() -> None:
    assert ", -/12 clients, " in line(timeline(moment(1.0, clients=None)), seconds=10)


async def test_a_single_moment_has_no_rate() -> None:
    assert ", 0 orders/s, " in line(timeline(moment(1.0, scheduled=10)), seconds=10)


async def test_after_the_last_order_it_waits_for_the_last_decisions() -> None:
    assert line(timeline(moment(11.0)), seconds=10).endswith("waiting for the last decisions")


async def follow(progress: Progress, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """Follow a run for so many looks, a second apart by the clock."""
    enough = asyncio.Event()
    seconds = iter(range(looks + 1))

    def monotonic() -> float:
        now = next(seconds, looks)
        if now >= looks:
            enough.set()
        return float(now)

    monkeypatch.setattr("lab.proof.spike.progress.EVERY_S", 0)
    monkeypatch.setattr("lab.proof.spike.progress.time", types.SimpleNamespace(monotonic=monotonic))
    following = asyncio.create_task(progress.follow(timeline(moment(1.0)), 10))
    await enough.wait()
    following.cancel()


async def test_on_a_terminal_every_look_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    await follow(Progress(stream=stream), monkeypatch, looks=15)
    assert stream.getvalue().count(CLEAR) >= 15


async def test_elsewhere_ten_seconds_pass_before_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    await follow(Progress(stream=stream), monkeypatch, looks=15)
    assert stream.getvalue().count("\n") == 2  # at 0 and at 10 s
