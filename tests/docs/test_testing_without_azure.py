"""docs/testing-without-azure.md: its test is a test, and each fault that it names is one."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.service_bus import Broker
from tests.unit.deploy.pages import ROOT, blocks, page, rows_with

PAGE = page("testing-without-azure.md")
FAULTS = rows_with(PAGE, "what the SDK sees")


@pytest.fixture
def file_in_tests() -> Iterator[Path]:
    """Where the page says: in a file of one's own in tests/."""
    file = ROOT / "tests/test_from_the_page.py"
    file.write_text(blocks(PAGE, "python")[0])
    yield file
    file.unlink()


def test_its_test_passes(file_in_tests: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file_in_tests)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_its_test_fails_where_the_function_takes_what_it_should_not(file_in_tests: Path) -> None:
    file_in_tests.write_text(file_in_tests.read_text().replace('== b"bad"', '== b"other"'))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file_in_tests)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert "1 failed" in done.stdout


def test_each_fault_can_be_called_as_it_stands_there() -> None:
    with Broker() as bus:
        calls = [call for row in FAULTS for call in re.findall(r"`([^`]+\))`", row["call"])]
        for call in calls:
            name, arguments = re.fullmatch(r"(?:bus\.)?(?:faults\.)?(\w+)\((\d*)\)", call).groups()  # type: ignore[union-attr]  # else it fails
            owner = bus if name in ("stop", "start") else bus.faults
            getattr(owner, name)(*map(int, arguments.split()))
    assert len(calls) == 10
