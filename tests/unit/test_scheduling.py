"""A test that ends its worker, as pytest-timeout does, is one failure, and the run goes on to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.plain_pytest import without

ROOT = Path(__file__).parents[2]
CONFTEST = """
def pytest_xdist_make_scheduler(config, log):
    from tests.scheduling import Scheduling
    return Scheduling(config, log)
"""
TESTS = """
import os, pytest
@pytest.mark.parametrize("number", range(9))
def test_one(number):
    if number in (5, 6):
        os._exit(1)
"""


@without("xdist")
def test_each_test_runs_once_when_workers_die(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "simulation"  # where each test is a unit of its own
    folder.mkdir(parents=True)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (folder / "test_one.py").write_text(TESTS)
    options = ["-q", "-p", "xdist", "-n", "3", "--dist", "loadfile"]
    words = [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert ended.returncode == 1
    assert "2 failed, 7 passed" in ended.stdout
