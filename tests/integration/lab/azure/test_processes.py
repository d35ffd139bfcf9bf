"""Children of the lab: their log, their end, and that they never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.azure.processes import Child
from tests.waiting import gone, wait_until

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
PARENT = """
import sys
from lab.azure.processes import Child
child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], kernel_leash={kernel_leash})
print(child.pid, flush=True)
import time; time.sleep(60)
"""


def start(source: str) -> Child:
    child = Child("test", [sys.executable, "-c", source])
    wait_until(lambda: child.tail() == ["up"])
    return child


@pytest.fixture
def sleeper() -> Iterator[Child]:
    with start(SLEEPER) as child:
        yield child


def test_its_lines_are_passed_on_and_the_last_ones_kept() -> None:
    lines: list[str] = []
    source = "import sys; print('out'); print('err', file=sys.stderr); [print(n) for n in range(300)]"
    with Child("test", [sys.executable, "-u", "-c", source], on_line=lines.append) as child:
        assert child.wait(20) == 0
    assert sorted(lines) == sorted(["out", "err", *(str(number) for number in range(300))])
    assert len(child.tail()) == 200


def test_it_runs_under_its_own_pid_in_a_session_of_its_own(sleeper: Child) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert os.getpgid(sleeper.pid) != os.getpgid(0)


def test_stop_kills_what_ignores_sigterm() -> None:
    assert start(STUBBORN).stop(deadline_s=0.2) == -signal.SIGKILL


def test_stop_ends_a_paused_one(sleeper: Child) -> None:
    sleeper.signal(signal.SIGSTOP)
    assert sleeper.stop() == -signal.SIGTERM


def test_a_signal_to_an_ended_process_does_nothing(sleeper: Child) -> None:
    sleeper.kill()
    sleeper.signal(signal.SIGTERM)
    assert sleeper.stop() == -signal.SIGKILL


def test_a_command_that_does_not_exist_is_reported() -> None:
    with Child("test", ["/nowhere/server"]) as child:
        assert child.wait(20) == 1
    assert child.tail() == ["leash: cannot start /nowhere/server: No such file or directory"]


def test_it_outlives_the_thread_that_started_it() -> None:
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(start(SLEEPER)))
    thread.start()
    thread.join()
    assert started[0].wait(0.3) is None
    started[0].kill()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kernel_leash", [True, False], ids=["kernel", "pipe"])
def test_it_dies_with_its_parent_even_if_that_is_killed(kernel_leash: bool) -> None:
    source = PARENT.format(kernel_leash=kernel_leash)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        parent.stdout.close()
    wait_until(lambda: gone(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_watcher_of_the_pipe_ends_with_its_child() -> None:
    with Child("test", [sys.executable, "-c", SLEEPER], kernel_leash=False) as child:
        wait_until(lambda: child.tail() == ["up"])
        (watcher,) = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    wait_until(lambda: gone(int(watcher)))
