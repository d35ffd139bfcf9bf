"""docs/testing-without-azure.md: its test is a test, and each fault that it names is one."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.azure.service_bus import Broker
from tests import ROOT
from tests.pages import blocks, page, rows_with

PAGE = page("testing-without-azure.md")
TEN_LINES, FIXTURE, EXAMPLE = blocks(PAGE, "python")
FAULTS = rows_with(PAGE, "what the SDK sees")


def run(code: str, folder: Path) -> str:
    """What pytest says of this file, with the settings of this project; not in tests/, which other tests copy."""
    file = folder / "test_of_the_page.py"
    file.write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Somebody else's project, with the folder copied into it."""
    shutil.copytree(ROOT / "lab" / "azure" / "service_bus", tmp_path / "service_bus")
    return tmp_path


def run_there(folder: Path, *words: str) -> str:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True).stdout


def test_its_first_lines_work_in_somebody_elses_project(elsewhere: Path) -> None:
    (elsewhere / "try_it.py").write_text(TEN_LINES)
    assert run_there(elsewhere, "try_it.py") == "hello\n"
    assert "python -m service_bus --port 0" in run_there(elsewhere, "-m", "service_bus", "--help")


def test_its_fixture_works_in_somebody_elses_project(elsewhere: Path) -> None:
    (elsewhere / "conftest.py").write_text('pytest_plugins = ["service_bus.fixture"]\n')
    (elsewhere / "test_it.py").write_text(FIXTURE)
    assert "1 passed" in run_there(elsewhere, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py")


def test_what_is_lifted_imports_itself_and_the_standard_library() -> None:
    for file in (ROOT / "lab" / "azure" / "service_bus").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            absolute = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else absolute
            roots = {str(name).partition(".")[0] for name in names}
            assert roots <= sys.stdlib_module_names | ({"pytest"} if file.stem == "fixture" else set()), file


def test_its_test_passes(tmp_path: Path) -> None:
    output = run(EXAMPLE, tmp_path)
    assert "1 passed" in output, output


def test_its_test_fails_where_the_function_takes_what_it_should_not(tmp_path: Path) -> None:
    output = run(EXAMPLE.replace('== b"bad"', '== b"other"'), tmp_path)
    assert "1 failed" in output, output


def test_each_fault_can_be_called_as_it_is_written_there() -> None:
    with Broker() as bus:
        calls = [call for row in FAULTS for call in re.findall(r"`([^`]+\))`", row["call"])]
        for call in calls:
            name, arguments = re.fullmatch(r"(?:bus\.)?(?:faults\.)?(\w+)\((\d*)\)", call).groups()  # type: ignore[union-attr]  # else it fails
            owner = bus if name in ("stop", "start") else bus.faults
            getattr(owner, name)(*map(int, arguments.split()))
    assert len(calls) == 11
