"""The files that other people's tools read: Compose, the dev container, VS Code, Dependabot, requests, the load test.

None of those tools is here. What has a public schema is held against it; of the rest, what can be told by reading.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.azure.service_bus.config import SHIPPED, load
from lab.azure.up import BUS_PORT, REDIS_PORT
from tests import ROOT
from tests.e2e.walk_through import steps

MAKEFILE = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "lab/proof/verbs.mk"))
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
LOAD = ROOT / "lab/proof/spike"
# Page reference-test-config-yaml of Azure Load Testing.
LOAD_KEYS = {
    *("version", "testId", "displayName", "description", "testType", "testPlan", "engineInstances"),
    *("configurationFiles", "failureCriteria", "autoStop", "properties", "zipArtifacts", "splitAllCSVs", "secrets"),
    *("env", "certificates", "appComponents", "referenceIdentities", "subnetId", "publicIPDisabled"),
    "regionalLoadTestConfig",
}
DEV_CONTAINER_KEYS = {
    *("name", "image", "features", "onCreateCommand", "postCreateCommand", "forwardPorts", "portsAttributes"),
    "customizations",
}


def parsed(name: str) -> dict[str, Any]:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("github-workflows", ".github/workflows/ci.yml"),
        ("github-workflows", ".github/workflows/deploy.yml"),
        ("dependabot", ".github/dependabot.yml"),
        ("compose-spec", "docker-compose.yml"),
    ],
)
def test_what_has_a_public_schema_obeys_it(schema: str, name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(ROOT / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_emulator_is_given_the_file_that_the_labs_own_service_bus_reads() -> None:
    sources = [
        ROOT / volume.split(":")[0] for volume in parsed("docker-compose.yml")["services"]["service-bus"]["volumes"]
    ]
    assert [source.resolve() for source in sources] == [SHIPPED]


def test_the_shipped_queue_is_within_what_the_emulator_takes() -> None:
    # Its Config-schema.json. A file that breaks it ends the emulator with "Out of memory" (its issue 131).
    (namespace,) = json.loads(SHIPPED.read_text())["UserConfig"]["Namespaces"]
    queue = load()["orders"]
    assert namespace.keys() == {"Name", "Queues", "Topics"}  # it requires all three
    assert namespace["Name"] == "sbemulatorns"
    assert 5 <= queue.duplicate_window_s <= 300
    assert 5 <= queue.lock_duration_s <= 300
    assert 1 <= queue.max_delivery_count <= 10


def test_containers_are_reached_from_this_machine_only_and_where_the_example_settings_look() -> None:
    services = parsed("docker-compose.yml")["services"].values()
    ports = [port for service in services for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert {int(port.split(":")[1]) for port in ports} == {REDIS_PORT, BUS_PORT, 5300}
    assert f"--redis redis://127.0.0.1:{REDIS_PORT}/0" in MAKEFILE


def test_no_licence_is_accepted_on_behalf_of_anybody() -> None:
    services = parsed("docker-compose.yml")["services"]
    assert {name for name, service in services.items() if "ACCEPT_EULA" in service.get("environment", {})} == {
        *("service-bus", "sql")
    }
    assert all("ACCEPT_EULA:-N" in services[name]["environment"]["ACCEPT_EULA"] for name in ("service-bus", "sql"))


def test_make_run_against_the_containers_passes_their_addresses_to_the_lab() -> None:
    command = ["make", "-n", "run", "ON=compose", "ACCEPT_EULA=Y"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.index("docker compose up") < shown.index(":5300/health") < shown.index("-m lab up --redis")
    assert "UseDevelopmentEmulator=true" in shown


def test_every_task_of_vs_code_that_is_asked_for_exists() -> None:
    tasks = parsed(".vscode/tasks.json")["tasks"]
    labels = [task["label"] for task in tasks]
    wanted = [name for task in tasks for name in [task.get("dependsOn", [])] if name]
    expected = {name for names in wanted for name in ([names] if isinstance(names, str) else names)}
    expected |= {launch.get("preLaunchTask", "test") for launch in parsed(".vscode/launch.json")["configurations"]}
    assert len(labels) == len(set(labels))
    assert expected <= set(labels)


def test_a_task_in_the_background_says_when_it_is_ready() -> None:
    tasks = [task for task in parsed(".vscode/tasks.json")["tasks"] if task.get("isBackground")]
    for task in tasks:
        matcher = task["problemMatcher"]
        assert matcher == "$func-python-watch" or re.search(matcher["background"]["endsPattern"], "Ready on http://x")


def test_the_debugger_starts_modules_that_exist() -> None:
    launches = parsed(".vscode/launch.json")["configurations"]
    assert {launch["request"] for launch in launches} == {"launch", "attach"}
    for module in (launch["module"] for launch in launches if "module" in launch):
        subprocess.run([sys.executable, "-c", f"import {module}.__main__"], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", [".vscode/tasks.json", ".devcontainer/devcontainer.json", ".ci/e2e"])
def test_every_make_target_exists(name: str) -> None:
    expected = set(re.findall(r"\bmake ([a-z]+)(?![\w/])", (ROOT / name).read_text(encoding="utf-8")))
    assert expected
    assert expected <= TARGETS


def test_the_dev_container_has_what_the_tests_look_for_and_offers_the_apps_port() -> None:
    container = parsed(".devcontainer/devcontainer.json")
    assert container.keys() == DEV_CONTAINER_KEYS
    assert all(re.fullmatch(r"ghcr\.io/[\w./-]+:\d+", feature) for feature in container["features"])
    assert {"chromium", "fonts-dejavu-core", "redis-server"} <= set(container["onCreateCommand"].split())
    assert container["forwardPorts"] == [7071]


def test_the_dev_container_installs_the_extensions_that_are_recommended() -> None:
    installed = parsed(".devcontainer/devcontainer.json")["customizations"]["vscode"]["extensions"]
    assert installed == parsed(".vscode/extensions.json")["recommendations"]


@pytest.mark.parametrize("name", [".ci/e2e", ".ci/run", ".ci/smoke"])
def test_every_script_is_valid_shell(name: str) -> None:
    subprocess.run(["bash", "-n", ROOT / name], check=True)


@dataclass(frozen=True)
class Request:
    """What curl or an editor sends."""

    method: str
    url: str
    headers: frozenset[str]
    body: str


def by_curl(line: str) -> Request:
    words = shlex.split(line)
    options = {name: [words[at + 1] for at, word in enumerate(words) if word == name] for name in ("-X", "-H", "-d")}
    url = next(word for word in words if word.startswith("http"))
    return Request((options["-X"] or ["GET"])[0], url, frozenset(options["-H"]), "".join(options["-d"]))


def by_editor(text: str) -> Request:
    head, _, body = text.strip().partition("\n\n")
    first, *headers = [line for line in head.splitlines() if not line.startswith("#")]
    method, url = first.split()
    return Request(method, url, frozenset(headers), body)


def test_the_file_of_requests_holds_every_request_of_the_readme_and_no_other() -> None:
    variable, *requests = re.split(
        r"^###.*\n", (ROOT / "requests.http").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    app = re.findall(r"^@app = (\S+)$", variable, re.MULTILINE)[0]
    found = [by_editor(request.replace("{{app}}", app)) for request in requests]
    assert len(found) == len(set(found))
    assert set(found) == {by_curl(step.line) for step in steps() if step.line.startswith("curl")}


def test_the_load_test_has_the_form_that_azure_load_testing_asks_for() -> None:
    config = parsed("lab/proof/spike/load-test.yaml")
    assert config.keys() <= LOAD_KEYS
    assert (config["version"], config["testType"]) == ("v0.1", "Locust")
    assert re.fullmatch(r"[a-z0-9_-]{2,50}", config["testId"])
    assert len(config["description"]) <= 100
    assert isinstance(config["engineInstances"], int)
    assert all((LOAD / name).is_file() for name in (config["testPlan"], *config["configurationFiles"]))


def test_what_the_load_test_sets_is_what_its_script_or_locust_reads() -> None:
    config = parsed("lab/proof/spike/load-test.yaml")
    script = (LOAD / config["testPlan"]).read_text(encoding="utf-8")
    read = set(re.findall(r'environ\.get\("(\w+)"', script))
    names = {entry["name"] for entry in [*config["env"], *config["secrets"]]}
    assert {name for name in names if not name.startswith("LOCUST_")} <= read
    assert all(isinstance(entry["value"], str) for entry in config["env"])


def test_the_load_test_is_given_time_for_its_schedule_and_to_settle() -> None:
    config = parsed("lab/proof/spike/load-test.yaml")
    values = {entry["name"]: entry["value"] for entry in config["env"]}
    script = (LOAD / config["testPlan"]).read_text(encoding="utf-8")
    settle_s = float(re.findall(r'"SPIKE_SETTLE_SECONDS", "(\d+)"', script)[0])
    assert int(values["LOCUST_RUN_TIME"].removesuffix("m")) * 60 > float(values["SPIKE_SECONDS"]) + settle_s


def test_a_test_that_ends_its_worker_is_one_failure(tmp_path: Path) -> None:
    """As its time-out does. By default pytest-xdist runs it again and again, or waits for ever."""
    (found,) = re.findall(r"-m (pytest .* -n auto .*) \$\(ARGS\)", MAKEFILE)
    (tmp_path / "test_it.py").write_text("import os\ndef test_it(): os._exit(1)\ndef test_more(): pass\n")
    words = [sys.executable, "-m", *shlex.split(found), "-p", "xdist", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.count("FAILED")) == (1, 1), ended.stdout
