"""docs/your-own-business.md, followed to the letter in a copy of the project: the rest stays green."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests import ROOT
from tests.e2e.conftest import running_lab
from tests.pages import blocks, page

PAGE = page("your-own-business.md")
TAKE_OUT, PUT_IN, WIRE = (PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0] for number in (1, 2, 3))
OURS = r"OrderDesk|OrderStore|order_store|order_desk|drops|orders\.bp|fulfilment"


def new_files() -> dict[str, str]:
    """File name -> what the page puts into it."""
    return dict(zip(re.findall(r"\n`(\S+\.py)`:\n", PUT_IN), blocks(PUT_IN, "python"), strict=True))


def without_ours(text: str) -> str:
    """A wiring file without the lines that name our business."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.search(OURS, line))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the page has been followed."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    skipped = shutil.ignore_patterns(".git", ".venv", ".lab", "build", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=skipped)
    for command in blocks(TAKE_OUT, "sh"):
        subprocess.run(["bash", "-euc", command], cwd=folder, check=True)
    for name, text in new_files().items():
        (folder / name).write_text(text)
    services, registration = blocks(WIRE, "python")
    wired = folder / "services/app_services.py"
    wired.write_text("from services.poll import Poll\n" + without_ours(wired.read_text()) + services)
    assembled = folder / "function_app.py"
    app_line = "app = func.FunctionApp()\n"
    imports, register = registration.split("\n\n")
    head, tail = without_ours(assembled.read_text()).split(app_line)
    assembled.write_text(f"{head}{imports}\n{app_line}{register}\n{tail}")
    return folder


def test_the_new_business_is_at_most_60_lines() -> None:
    lines = [line for text in new_files().values() for line in text.splitlines() if line.strip()]
    assert len(lines) <= 60


def test_the_new_functions_run_on_the_same_sessions(project: Path, tmp_path: Path) -> None:
    vote = {"poll": "lunch", "voter": "ada", "choice": "soup"}
    with running_lab(tmp_path, "--app", str(project)) as lab:
        assert httpx.post(f"{lab.url}/api/votes", json=vote).status_code == 202
        assert httpx.post(f"{lab.url}/api/votes", json=vote).status_code == 202
        assert httpx.post(f"{lab.url}/api/votes", json={**vote, "choice": 5}).status_code == 400
        for _ in range(200):
            tally = httpx.get(f"{lab.url}/api/polls/lunch").json()
            if tally:
                break
        assert tally == {"soup": 1}
        assert "/votes" in httpx.get(f"{lab.url}/api/openapi.json").json()["paths"]


@pytest.mark.timeout(180)
def test_the_result_type_checks(project: Path) -> None:
    command = [sys.executable, "-m", "mypy", "function_app.py", "blueprints", "services"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(180)
def test_no_test_is_left_that_imports_what_was_taken_out(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.timeout(300)
def test_without_our_business_the_tests_of_the_sessions_stay_green(project: Path) -> None:
    arguments = ["tests/unit/services"]
    if os.environ.get("HYPOTHESIS_PROFILE") == "prove":
        arguments.append("tests/integration/services")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
