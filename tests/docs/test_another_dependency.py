"""docs/another-dependency.md: its code type checks, and its numbers are recomputed."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.errors import OverBudget
from tests import ROOT
from tests.docs.another_dependency import FILES, PAGE, write_to
from tests.pages import rows_with

MOST_LINES = {"bounded_calls": 70, "postgres_service": 100, "postgres_budget": 15, "partner_api": 36}
BUDGETS = [list(row.values()) for row in rows_with(PAGE, "tier", "scale groups", "limit")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`services/` with the page's files in it."""
    folder = tmp_path_factory.mktemp("pasted")
    shutil.copytree(ROOT / "services", folder / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    write_to(folder / "services")
    return folder


def test_the_page_has_four_files_and_none_is_long() -> None:
    lines = {name: len([line for line in text.splitlines() if line.strip()]) for name, text in FILES.items()}
    assert lines.keys() == MOST_LINES.keys()
    assert [name for name, count in lines.items() if count > MOST_LINES[name]] == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("check", [["mypy", "--strict"], ["ruff", "check"], ["ruff", "format", "--check"]])
def test_the_files_type_check_and_are_linted_as_ours_are(project: Path, check: list[str]) -> None:
    command = [sys.executable, "-m", *check, *(f"services/{name}.py" for name in FILES)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("row", BUDGETS, ids=[" ".join(row[:4]) for row in BUDGETS])
def test_every_number_of_the_budget_is_recomputed(page: dict[str, ModuleType], row: list[str]) -> None:
    tier, groups, limit, connections, clients, usable, fits, largest = row
    budget: Any = page["postgres_budget"].PostgresBudget(
        tier, int(limit), scale_groups=int(groups), connections_per_worker=int(connections)
    )
    computed = (budget.clients, budget.usable, budget.clients <= budget.usable, budget.largest_safe_limit)
    assert computed == (int(clients), int(usable), fits == "yes", int(largest))


def test_the_budgets_are_there() -> None:
    assert len(BUDGETS) >= 6


def test_an_exceeded_budget_names_its_own_service(page: dict[str, ModuleType]) -> None:
    with pytest.raises(OverBudget, match=r"^PostgreSQL connection budget exceeded: B1ms allows 35 clients"):
        page["postgres_budget"].PostgresBudget("B1ms", 100, connections_per_worker=2).check()
