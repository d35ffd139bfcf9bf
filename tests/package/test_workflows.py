"""The GitHub workflows: no secrets, and consistent with the templates and the Makefile.

Pins, rights and injection are zizmor's, which `make lint` runs.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests import ROOT
from tests.pages import page, rows_with

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
TEXTS = {file.stem: file.read_text(encoding="utf-8") for file in FILES}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
FIXED_BY_AZD = {"AZURE_PRINCIPAL_ID"}  # azd knows who is signed in


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in WORKFLOWS[name]["jobs"].values():
        yield from job["steps"]


def scripts(name: str) -> list[str]:
    return [step["run"] for step in steps(name) if "run" in step]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_stored_secret_is_used(name: str) -> None:
    assert "secrets." not in TEXTS[name]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_script_is_valid_shell(name: str) -> None:
    for script in scripts(name):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)(?![\w/])", "\n".join(scripts(name)))) <= targets


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_has_an_end(name: str) -> None:
    assert all(job["timeout-minutes"] <= 60 for job in WORKFLOWS[name]["jobs"].values())


def test_a_deployment_is_started_by_a_person_only() -> None:
    assert list(WORKFLOWS["deploy"][True]) == ["workflow_dispatch"]  # YAML reads the key `on` as true


def test_the_tests_of_the_templates_cannot_be_skipped() -> None:
    assert WORKFLOWS["ci"]["env"]["REQUIRE_BICEP"]
    assert 'echo "BICEP=' in "\n".join(scripts("ci"))


def test_the_tests_that_need_a_browser_or_locust_cannot_be_skipped() -> None:
    assert WORKFLOWS["ci"]["env"]["REQUIRE_CHROMIUM"]
    assert WORKFLOWS["ci"]["env"]["REQUIRE_LOCUST"]
    assert {"make build/locust/bin/locust", "make test"} <= set(scripts("ci"))


def test_the_end_to_end_tests_run_against_the_real_host_and_microsofts_emulator() -> None:
    assert {".ci/e2e func", ".ci/e2e compose"} <= set(scripts("ci"))


def test_every_python_that_the_readme_names_is_tested() -> None:
    lowest, highest = re.findall(r"Python 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text(encoding="utf-8"))[0]
    named = [f"3.{minor}" for minor in range(int(lowest), int(highest) + 1)]
    assert WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]["python"] == named


def test_what_azd_is_asked_for_is_an_output_of_the_template() -> None:
    outputs = re.findall(r"^output (\w+)", (ROOT / "infra/main.bicep").read_text(encoding="utf-8"), re.MULTILINE)
    expected = re.findall(r"azd env get-value (\w+)", "\n".join(scripts("deploy")))
    assert expected
    assert set(expected) <= set(outputs)


def test_the_pipeline_gives_azd_every_value_that_the_parameters_want() -> None:
    parameters = json.loads((ROOT / "infra/main.parameters.json").read_text(encoding="utf-8"))
    wanted = set(re.findall(r"\$\{(\w+)", json.dumps(parameters)))
    assert wanted - FIXED_BY_AZD <= WORKFLOWS["deploy"]["jobs"]["deploy"]["env"].keys()


def test_the_variables_of_the_pipeline_are_those_that_the_page_names() -> None:
    used = set(re.findall(r"vars\.(\w+)", TEXTS["deploy"]))
    shown = {name for row in rows_with(page("deploy.md"), "variable") for name in re.findall(r"\w+", row["variable"])}
    assert shown == used


def test_no_package_is_installed_by_the_job_that_may_assign_roles() -> None:
    text = "\n".join(scripts("deploy"))
    assert not re.search(r"\b(pip|pipx|uv|uvx|npm|npx|make)\b", text)
    assert "python -m tests.e2e.smoke" in text


def test_az_is_signed_in_before_azd_asks_it_for_a_failed_redis() -> None:
    names = [step.get("uses", step.get("run", "")) for step in steps("deploy")]
    (login,) = [at for at, name in enumerate(names) if name.startswith("azure/login@")]
    assert login < names.index("azd provision --no-prompt")


def test_the_packages_and_the_workflows_are_audited_by_tools_at_one_version() -> None:
    audits = [script for script in scripts("ci") if script.startswith("pipx run")]
    assert [re.sub(r"==\d+\.\d+\.\d+", "==", script) for script in audits] == [
        "pipx run pip-audit== --disable-pip --no-deps -r requirements.lock",
        "pipx run zizmor== --strict-collection .github",
    ]
