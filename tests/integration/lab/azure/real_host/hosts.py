"""The lab's Functions host as a process of its own, serving an app of the recorded ones."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.azure.processes import Child
from tests.integration.lab.azure.real_host.recorded_cases import RECORDED, text

KEY = "recorded-function-key"
MASTER = "recorded-master-key"
START_S = 120.0
ROOT = Path(__file__).parents[5]


@dataclass
class RunningHost:
    """`port` 0: it did not start, and `child.tail()` says why."""

    child: Child
    port: int = 0

    @property
    def names(self) -> dict[str, str]:
        """What the recorded cases have in place of what differs from run to run."""
        return {"{HOST}": f"127.0.0.1:{self.port}", "{KEY}": KEY, "{MASTER}": MASTER}


@contextlib.contextmanager
def host(folder: Path, settings: dict[str, str] | None = None) -> Iterator[RunningHost]:
    """Run the host on the app in `folder`, with keys enforced, until the end of the block."""
    announced = folder.with_suffix(".announced")
    words = [sys.executable, "-m", "lab.azure.functions_host", str(folder), "--port", "0"]
    keys = {"LAB_FUNCTIONS_KEY": KEY, "LAB_FUNCTIONS_MASTER_KEY": MASTER}
    environment = {**os.environ, "PYTHONPATH": "", **keys, **(settings or {})}
    with Child("host", [*words, "--announce", str(announced)], env=environment, cwd=ROOT) as child:
        running = RunningHost(child)
        ends = time.monotonic() + START_S
        while not announced.exists() and child.alive:
            assert time.monotonic() < ends, child.tail()
            time.sleep(0.02)
        if announced.exists():
            running.port = int(json.loads(announced.read_text())["url"].rpartition(":")[2])
        yield running


def write_probe(folder: Path) -> None:
    folder.mkdir()
    (folder / "function_app.py").write_text(text("function_app.py"), encoding="utf-8")
    (folder / "host.json").write_bytes((RECORDED / "host.json").read_bytes())
