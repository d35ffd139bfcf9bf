"""A `python -m lab up` of a test's own, and the lab's other commands against it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import ROOT

START_S = 120


@dataclass(frozen=True)
class Lab:
    """A running app.

    `queue_options`: how `python -m lab` finds its queue. `key`: its function key, if it wants one. `folder`: holds its
    log.
    """

    url: str
    queue_options: str = ""
    key: str = field(default="", repr=False)
    pids: dict[str, int] = field(default_factory=dict)
    redis_url: str = ""
    folder: Path = Path()

    def log(self) -> str:
        """What `python -m lab up` has written so far."""
        return (self.folder / "up.log").read_text()

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"x-functions-key": self.key} if self.key else {}

    def command(self, *arguments: str) -> str:
        """The output of `python -m lab ...` against this lab."""
        command = [sys.executable, "-m", "lab", *arguments, *shlex.split(self.queue_options)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def running_lab(folder: Path, *arguments: str, **environment: str) -> Iterator[Lab]:
    """`python -m lab up` on a free port; at the end Ctrl-C must end it with 0."""
    state, log = folder / "up.json", folder / "up.log"
    command = [sys.executable, "-m", "lab", "up", "--port", "0", "--state", str(state), *arguments]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        ) as process,
    ):
        try:
            ends_at = time.monotonic() + START_S
            while not state.exists():
                assert process.poll() is None, f"the lab ended: {log.read_text()}"
                assert time.monotonic() < ends_at, f"the lab did not start: {log.read_text()}"
                time.sleep(0.05)
            found = json.loads(state.read_text())
            yield Lab(found["url"], f"--state {state}", "", found["pids"], found["redis_url"], folder)
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(120)
    assert code == 0, log.read_text()
