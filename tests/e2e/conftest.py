"""A lab of its own for the end-to-end tests, or the app that `--base-url` names."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
START_S = 30


@dataclass(frozen=True)
class Lab:
    """A running app. `state` is where `python -m lab` finds the lab; None: the default place."""

    url: str
    state: Path | None = None
    pids: dict[str, int] = field(default_factory=dict)
    redis_url: str = ""

    def command(self, *arguments: str) -> str:
        """The output of `python -m lab ...` against this lab."""
        where = ["--state", str(self.state)] if self.state else []
        command = [sys.executable, "-m", "lab", *arguments, *where]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
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
            yield Lab(found["url"], state, found["pids"], found["redis_url"])
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
    assert code == 0, log.read_text()


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The app under test."""
    url = request.config.getoption("--base-url")
    if url:
        yield Lab(url)
    else:
        with running_lab(tmp_path_factory.mktemp("lab")) as lab:
            yield lab


@pytest.fixture
def api(lab: Lab) -> Iterator[httpx.Client]:
    """A client of the app; every call has a deadline."""
    with httpx.Client(base_url=f"{lab.url}/api", timeout=10) as client:
        yield client


@pytest.fixture
def drop_id() -> str:
    """An id that no test has used before, in this run or another."""
    return f"drop-{uuid.uuid4()}"
