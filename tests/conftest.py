"""What every kind of test shares: a real Valkey, empty at the start of each test, and the hypothesis profiles."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from lab.azure.redis_server import RedisServer, RedisServerMissing
from tests import plain_pytest

with contextlib.suppress(ModuleNotFoundError):  # plain pytest has no hypothesis
    from hypothesis import HealthCheck, settings

    settings.register_profile("test", max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    settings.register_profile("prove", max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

ONE_BY_ONE = ("tests/integration/lab/proof/faults/", "tests/simulation/")  # long tests that share nothing
SHARED_LABS = "tests/e2e/"
OWN_LABS = {f"{SHARED_LABS}test_{name}.py" for name in ("locust", "on_a_cluster", "outages")}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout(seconds): a bound of its own, by pytest-timeout")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell's background job; what a test starts inherits it
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with _skipped_without_a_server():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with _skipped_without_a_server():
        return (yield)


@contextlib.contextmanager
def _skipped_without_a_server() -> Iterator[None]:
    """Where no server can be started, `make test` fails and plain pytest skips."""
    try:
        yield
    except RedisServerMissing as error:
        if os.environ.get("REQUIRE_EVERYTHING"):
            raise
        pytest.skip(str(error))


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return plain_pytest.folder_of(path, parent)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    return plain_pytest.SkippableModule.from_parent(parent, path=module_path)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core that we may use, as most tests wait; four finish together."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(4, 2 * cores)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, but what shares the labs of tests/e2e/conftest.py stays together, and long tests go apart."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            if file.startswith(ONE_BY_ONE):
                return nodeid
            return SHARED_LABS if file.startswith(SHARED_LABS) and file not in OWN_LABS else file

    return Scheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--base-url`: run tests/e2e against an app that runs already (the lab, `func start`, a deployed app).

    Its key is read from the environment, FUNCTIONS_KEY.
    """
    plain_pytest.add_options_of_missing_plugins(parser)
    parser.addoption("--base-url", help="e.g. http://localhost:7071; default: each run starts a lab of its own")
    parser.addoption(
        "--queue-options", default="", help="its queue, as `python -m lab enqueue` takes it: --namespace NAME"
    )


@pytest.fixture
def own_function_app(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every app is imported afresh, and none is left behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = sys.modules.pop("function_app", None)
    yield
    sys.modules.pop("function_app", None)
    if before is not None:
        sys.modules["function_app"] = before


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests that neither stop it nor count its clients."""
    with RedisServer(appendonly=False) as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The shared server, emptied."""
    with redis.Redis.from_url(shared_redis.url) as client:
        client.flushall()
        client.script_flush()
    return shared_redis.url
