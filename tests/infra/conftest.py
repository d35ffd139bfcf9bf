"""The compiler on a copy of the files it reads, and the snapshot of each parameter file, which lies beside it.

test_template.py evaluates every parameter file and compares; so all that looks at what is deployed reads the
snapshot, and needs no compiler.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.infra.compiler import HOW_TO_GET_IT, Evaluator, evaluator, find_compiler
from tests.infra.deployment import Deployment

OWN = "mine"  # a reader's own file (docs/deploy.md), which has no snapshot
FILES = sorted(file.stem for file in (ROOT / "infra/params").glob("*.bicepparam") if file.stem != OWN)
UNSAFE = [name for name in FILES if name.startswith("unsafe-")]
SAFE = [name for name in FILES if name not in UNSAFE]
NEED_THE_COMPILER = ["test_budget.py", "test_files.py", "test_template.py"]
TEST_S = 180  # a compiler on a busy machine

if find_compiler() is None:  # then test_compiler.py says so, once, in the place of them
    collect_ignore = NEED_THE_COMPILER


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """More time than other tests get."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(TEST_S))


def copy_of_infra(folder: Path) -> Path:
    """infra/ and the one table that it reads, copied; the compiler writes beside its input."""
    shutil.copytree(ROOT / "infra", folder / "infra", ignore=shutil.ignore_patterns("*.snapshot.json", f"{OWN}.*"))
    (folder / "services").mkdir()
    shutil.copy(ROOT / "services/redis_tiers.json", folder / "services")
    return folder / "infra"


def snapshot_of(name: str) -> Path:
    """Where the snapshot of a parameter file lies."""
    return ROOT / f"infra/params/{name}.snapshot.json"


@pytest.fixture(scope="session")
def compiler() -> Path:
    """Without one these tests are skipped; where REQUIRE_BICEP is set they fail."""
    found = find_compiler()
    if found is not None:
        return found
    if os.environ.get("REQUIRE_BICEP"):
        pytest.fail(HOW_TO_GET_IT, pytrace=False)
    pytest.skip(HOW_TO_GET_IT)


@pytest.fixture(scope="session")
def infra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of infra/ that the tests of one process share, and may put parameter files into."""
    return copy_of_infra(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def bicep(compiler: Path) -> Iterator[Evaluator]:
    """The compiler as a server."""
    with evaluator(compiler) as running:
        yield running


@pytest.fixture(scope="session")
def deployments() -> dict[str, Deployment]:
    """What every safe parameter file deploys."""
    return {name: Deployment(json.loads(snapshot_of(name).read_text())) for name in SAFE}


@pytest.fixture(params=SAFE)
def deployment(request: pytest.FixtureRequest, deployments: dict[str, Deployment]) -> Deployment:
    """Each safe parameter file in turn."""
    return deployments[request.param]


@pytest.fixture
def default(deployments: dict[str, Deployment]) -> Deployment:
    """What is deployed by those who choose nothing."""
    return deployments["managed-b0"]


@pytest.fixture
def large(deployments: dict[str, Deployment]) -> Deployment:
    """The largest, with every option taken."""
    return deployments["managed-b10"]
