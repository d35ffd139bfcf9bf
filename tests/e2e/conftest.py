"""A lab of its own for the end-to-end tests, or the app that `--base-url` names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.running_lab import Lab, running_lab

KEY_SETTING = "FUNCTIONS_KEY"
KEY = "k3y-of-the-lab"
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


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The app under test."""
    url = request.config.getoption("--base-url")
    if url:
        yield Lab(url.rstrip("/"), request.config.getoption("--queue-options"), os.environ.get(KEY_SETTING, ""))
    else:
        with running_lab(tmp_path_factory.mktemp("lab")) as lab:
            yield lab


@pytest.fixture(scope="session")
def keyed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that demands KEY, as Azure does."""
    with running_lab(tmp_path_factory.mktemp("keyed"), "--key", KEY) as lab:
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
