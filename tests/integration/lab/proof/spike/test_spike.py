"""`python -m lab spike` as a person runs it, only smaller."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from lab.__main__ import main
from tests import ROOT
from tests.waiting import gone, wait_until

KEYS = {
    "orders", "accepted", "confirmed", "refused", "failed", "lost", "decided_twice", "oversold", "dead_lettered",
    "seconds", "orders_per_second", "peak_clients", "client_limit", "refused_connections", "p50_ms", "p99_ms",
    "strategy", "instances", "stock",
}  # fmt: skip
COMMAND = [sys.executable, "-m", "lab", "spike"]


@dataclass(frozen=True)
class Done:
    """A command that has ended. `counted`: what it wrote with --json."""

    code: int
    output: str
    errors: str
    counted: dict[str, Any]


def run(folder: Path, *words: str) -> Done:
    """Run a spike of 8 instances to its end."""
    file = folder / "counted.json"
    command = [*COMMAND, "--instances", "8", "--client-limit", "12", "--users", "100", "--json", str(file), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert file.exists(), done.stderr
    return Done(done.returncode, done.stdout, done.stderr, json.loads(file.read_text()))


@pytest.fixture(scope="module")
def enough(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A stock for everybody."""
    return run(tmp_path_factory.mktemp("enough"), "--orders", "300", "--seconds", "4")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A stock for one in six."""
    return run(tmp_path_factory.mktemp("short"), "--orders", "300", "--seconds", "2", "--stock", "50")


def test_with_enough_stock_every_order_is_accepted_and_confirmed(enough: Done) -> None:
    counted = enough.counted
    assert (counted["orders"], counted["accepted"], counted["confirmed"]) == (300, 300, 300)


def test_a_spike_that_keeps_every_promise_says_so_and_ends_with_0(enough: Done) -> None:
    assert (enough.code, "ours: every promise kept" in enough.output) == (0, True)


def test_its_json_has_every_number_that_the_comparison_shows(enough: Done) -> None:
    assert enough.counted.keys() >= KEYS


def test_its_json_says_what_was_asked_for(enough: Done) -> None:
    counted = enough.counted
    wanted = [counted[name] for name in ("strategy", "instances", "stock", "client_limit")]
    assert wanted == ["ours", 8, 300, 12]


def test_its_clients_are_one_per_instance_and_the_labs_own(enough: Done) -> None:
    assert 2 < enough.counted["peak_clients"] <= 8 + 2


def test_even_a_short_spike_scales_out_to_every_instance(enough: Done) -> None:
    assert max(moment["instances"] for moment in enough.counted["timeline"]) == 8


def test_progress_goes_to_stderr_only(enough: Done) -> None:
    assert "of 8 instances" in enough.errors
    assert " queued, " not in enough.output


def test_with_a_short_stock_exactly_the_stock_is_confirmed_and_the_rest_refused(short: Done) -> None:
    assert (short.counted["confirmed"], short.counted["refused"]) == (50, 250)


def test_selling_out_is_expected(short: Done) -> None:
    assert short.code == 0


def test_a_fleet_over_the_budget_is_refused_with_the_numbers_before_anything_starts(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    code = main(["spike", "--instances", "8", "--client-limit", "9"])
    started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    message = capfd.readouterr().err
    assert (code, started) == (2, set())
    assert "allows 9 clients, 7 with 20 % headroom" in message


@dataclass(frozen=True)
class Running:
    """A spike in a process of its own, and what it has written."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, text: str) -> None:
        """Wait until it has written this."""
        wait_until(lambda: text in self.log.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def interrupt(self) -> tuple[int, list[int]]:
        """Ctrl-C; its exit code, and the processes that it had started."""
        started = [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120), started


@contextlib.contextmanager
def running(folder: Path, *words: str) -> Iterator[Running]:
    log = folder / "log"
    command = [*COMMAND, "--orders", "6000", "--seconds", "60", *words]
    with log.open("w") as output, subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output) as process:
        try:
            yield Running(process, log)
        finally:
            if process.poll() is None:
                started = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                for child in started:
                    with contextlib.suppress(psutil.Error):
                        child.kill()


@pytest.mark.parametrize(
    ("instances", "moment"), [("2", " instances, "), ("80", "starting ")], ids=["serving", "starting"]
)
def test_ctrl_c_ends_everything_in_a_line(tmp_path: Path, instances: str, moment: str) -> None:
    with running(tmp_path, "--instances", instances, "--client-limit", "120") as spike:
        spike.wait_for(moment)
        code, started = spike.interrupt()
    message = spike.log.read_text()
    assert (code, message.count("\nstopped; everything that was started has ended\n")) == (2, 1)
    assert "Traceback" not in message
    wait_until(lambda: all(map(gone, started)))
