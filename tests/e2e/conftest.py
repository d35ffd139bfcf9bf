"""A lab of its own for the end-to-end tests, or the app that `--base-url` names."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import ROOT

START_S = 30
KEY_SETTING = "FUNCTIONS_KEY"
THIS_MACHINE = ("localhost", "127.0.0.1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --base-url, leave out what cannot run there; the test's marker says why."""
    url, folder = config.getoption("--base-url"), Path(__file__).parent
    if not url:
        return
    unfit = {"own_lab"}
    if urlsplit(url).hostname not in THIS_MACHINE:
        unfit |= {"this_machine"} if config.getoption("--queue-options") else {"this_machine", "by_hand"}
    left_out = [
        item for item in items if folder in item.path.parents and unfit & {mark.name for mark in item.iter_markers()}
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@dataclass(frozen=True)
class Lab:
    """A running app. `queue_options`: how `python -m lab` finds its queue; `key`: its function key, if it wants one."""

    url: str
    queue_options: str = ""
    key: str = field(default="", repr=False)
    pids: dict[str, int] = field(default_factory=dict)
    redis_url: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"x-functions-key": self.key} if self.key else {}

    def command(self, *arguments: str) -> str:
        """The output of `python -m lab ...` against this lab."""
        command = [sys.executable, "-m", "lab", *arguments, *shlex.split(self.queue_options)]
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
            yield Lab(found["url"], f"--state {state}", pids=found["pids"], redis_url=found["redis_url"])
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
    assert code == 0, log.read_text()


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The app under test."""
    url = request.config.getoption("--base-url")
    if url:
        yield Lab(url.rstrip("/"), request.config.getoption("--queue-options"), os.environ.get(KEY_SETTING, ""))
    else:
        with running_lab(tmp_path_factory.mktemp("lab")) as lab:
            yield lab


@pytest.fixture
def api(lab: Lab) -> Iterator[httpx.Client]:
    """A client of the app; every call has a deadline."""
    with httpx.Client(base_url=f"{lab.url}/api", headers=lab.headers, timeout=10) as client:
        yield client


@pytest.fixture
def drop_id() -> str:
    """An id that no test has used before, in this run or another."""
    return f"drop-{uuid.uuid4()}"
