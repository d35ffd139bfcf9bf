"""docs/testing-without-azure.md: its test is a test, and each fault that it names is one."""

import re
import subprocess
import sys
from pathlib import Path

from lab.azure.service_bus import Broker
from tests import ROOT
from tests.pages import blocks, page, rows_with

PAGE = page("testing-without-azure.md")
(EXAMPLE,) = blocks(PAGE, "python")
FAULTS = rows_with(PAGE, "what the SDK sees")


def run(code: str, folder: Path) -> str:
    """What pytest says of this file, with the settings of this project; not in tests/, which other tests copy."""
    file = folder / "test_of_the_page.py"
    file.write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    return done.stdout + done.stderr


def test_its_test_passes(tmp_path: Path) -> None:
    said = run(EXAMPLE, tmp_path)
    assert "1 passed" in said, said


def test_its_test_fails_where_the_function_takes_what_it_should_not(tmp_path: Path) -> None:
    said = run(EXAMPLE.replace('== b"bad"', '== b"other"'), tmp_path)
    assert "1 failed" in said, said


def test_each_fault_can_be_called_as_it_stands_there() -> None:
    with Broker() as bus:
        calls = [call for row in FAULTS for call in re.findall(r"`([^`]+\))`", row["call"])]
        for call in calls:
            name, arguments = re.fullmatch(r"(?:bus\.)?(?:faults\.)?(\w+)\((\d*)\)", call).groups()  # type: ignore[union-attr]  # else it fails
            owner = bus if name in ("stop", "start") else bus.faults
            getattr(owner, name)(*map(int, arguments.split()))
    assert len(calls) == 10
