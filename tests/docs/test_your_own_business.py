"""docs/your-own-business.md, followed to the letter in a copy of the project: it runs.

CI follows it too, and runs lint, types and every test that is left.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.docs.own_business import PUT_IN, follow, named_blocks
from tests.running_lab import running_lab
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the page has been followed."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    follow(folder)
    return folder


def run(project: Path, *command: object) -> None:
    """Run it there. Raises AssertionError with its output if it fails."""
    done = subprocess.run([*map(str, command)], cwd=project, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_the_new_business_is_at_most_60_lines() -> None:
    lines = [line for text in named_blocks(PUT_IN, "python").values() for line in text.splitlines() if line.strip()]
    assert len(lines) <= 60


def test_the_new_functions_run_on_the_same_sessions(project: Path, tmp_path: Path) -> None:
    vote = {"poll": "lunch", "voter": "ada", "choice": "soup"}
    with running_lab(tmp_path, "--app", str(project)) as lab:
        assert httpx.post(f"{lab.url}/api/votes", json=vote).status_code == 202
        assert httpx.post(f"{lab.url}/api/votes", json=vote).status_code == 202
        assert httpx.post(f"{lab.url}/api/votes", json={**vote, "choice": 5}).status_code == 400
        wait_until(lambda: httpx.get(f"{lab.url}/api/polls/lunch").json() == {"votes": {"soup": 1}})
        assert httpx.get(f"{lab.url}/api/polls/lunch").headers["content-type"].startswith("application/json")
        assert httpx.get(f"{lab.url}/api/polls/LUNCH").status_code == 400
        assert {"/votes", "/polls/{poll}"} <= httpx.get(f"{lab.url}/api/openapi.json").json()["paths"].keys()


def test_no_verb_is_left_whose_parts_were_taken_out(project: Path) -> None:
    verbs = subprocess.run(["make", "-s", "help"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in verbs.splitlines()} == {
        *("help", "run", "lint", "test", "conformance", "clients", "install", "lock", "clean")
    }
    run(project, sys.executable, "-c", "import tests.conformance.__main__, tests.clients.__main__")


@pytest.mark.timeout(300)
def test_no_test_is_left_that_imports_what_was_taken_out(project: Path) -> None:
    run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only")
