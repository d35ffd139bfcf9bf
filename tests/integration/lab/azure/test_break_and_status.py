"""`python -m lab break` and `status`, against a lab of their own: what is broken is given back, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from lab.__main__ import main
from lab.azure.outage import is_child
from lab.azure.state_file import LabState, read_state, write_state
from tests import ROOT
from tests.running_lab import running_lab
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def state_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab that runs the app of this project."""
    folder = tmp_path_factory.mktemp("lab")
    with running_lab(folder):
        yield folder / "up.json"


def state_of(state_file: Path) -> LabState:
    """What runs now: a Redis that was killed has another process afterwards."""
    state = read_state(state_file)
    assert state is not None
    return state


def run(state_file: Path, *words: str) -> int:
    """One of the lab's commands."""
    return main([*words, "--state", str(state_file)])


@contextmanager
def breaking(state_file: Path, *words: str, ends_by: signal.Signals = signal.SIGINT) -> Iterator[None]:
    """`break` as a process that has begun, and is ended early: it gives back what it broke."""
    command = [sys.executable, "-m", "lab", "break", *words, "--for", "60", "--state", str(state_file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        began = process.stdout.readline()
        try:
            yield
        finally:
            process.send_signal(ends_by)
            output, _ = process.communicate(timeout=120)
    assert "Ctrl-C restores it" in began
    assert (process.returncode, output) == (0, "It is back.\n")


def status(state_file: Path) -> tuple[int, str]:
    """The exit code of `status`, and what it prints. A process of its own: the SDK (7.15) leaves sockets unclosed."""
    command = [sys.executable, "-m", "lab", "status", "--state", str(state_file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


def test_status_shows_each_part_its_address_and_what_waits(state_file: Path) -> None:
    code, shown = status(state_file)
    assert code == 0
    app, redis_line, bus = shown.splitlines()
    assert app.split() == ["app", state_of(state_file).url, "ready"]
    assert "of at most 10000 clients" in redis_line
    assert "queue 'orders': 0 not completed, 0 dead letters" in bus
    assert "SharedAccessKey" not in shown


def test_a_killed_redis_is_shown_as_silent_and_comes_back_with_its_data(state_file: Path) -> None:
    before = state_of(state_file)
    with redis.Redis.from_url(before.redis_url) as client:
        client.set("kept", "yes")
    with breaking(state_file, "redis"):
        code, shown = status(state_file)
    assert code == 1
    app, redis_line, bus = shown.splitlines()
    assert "not ready" in app
    assert "does not answer" in redis_line
    assert "0 not completed" in bus
    with redis.Redis.from_url(before.redis_url) as client:
        assert client.get("kept") == b"yes"
    wait_until(lambda: state_of(state_file).pids["redis"] != before.pids["redis"])
    assert is_child(state_of(state_file).pids["redis"], before.pid)


@pytest.mark.parametrize(
    ("words", "sign"),
    [
        pytest.param(("redis", "--freeze"), "does not answer", id="frozen"),
        pytest.param(("redis", "--read-only"), "READ-ONLY", id="read-only"),
        pytest.param(("redis", "--full"), "does not answer (Redis: max number of clients reached)", id="full"),
        pytest.param(("bus",), "does not answer", id="bus"),
    ],
)
def test_a_fault_shows_in_the_status_and_ends_with_its_command(
    state_file: Path, words: tuple[str, ...], sign: str
) -> None:
    with breaking(state_file, *words, ends_by=signal.SIGTERM):
        code, shown = status(state_file)
    assert code == 1
    assert sign in shown
    ready = f"{state_of(state_file).url}/api/health/ready"
    wait_until(lambda: httpx.get(ready, timeout=20).status_code == 200)


def test_whatever_was_broken_the_status_is_sound_afterwards(state_file: Path) -> None:
    wait_until(lambda: status(state_file)[0] == 0)


def test_it_ends_by_itself_after_the_time_given(state_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(state_file, "break", "redis", "--freeze", "--for", "0.1") == 0
    assert capsys.readouterr().out.endswith("It is back.\n")


@pytest.mark.parametrize(
    ("words", "pids", "reason"),
    [
        (("redis",), {}, "that it did not start"),
        (("bus", "--full"), {}, "the Service Bus can only be frozen"),
        (("redis",), {"redis": os.getppid()}, "has ended"),  # a process of somebody else is never signalled
    ],
)
def test_what_cannot_be_broken_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], pids: dict[str, int], reason: str
) -> None:
    write_state(LabState(os.getpid(), "", "orders", "redis://127.0.0.1:1/0", "", pids), tmp_path / "up.json")
    assert run(tmp_path / "up.json", "break", *words) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("words", [("status",), ("break", "bus")])
def test_without_a_lab_both_say_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run(tmp_path / "up.json", *words) == 1
    assert "python -m lab up" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "601", "soon", "nan"])
def test_an_invalid_time_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["break", "redis", "--for", text])
    assert "not a number of seconds" in capsys.readouterr().err
