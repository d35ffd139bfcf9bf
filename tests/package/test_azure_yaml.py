"""azure.yaml, what azd fills in and .funcignore agree with the templates and with each other."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from pathspec import GitIgnoreSpec

from tests import ROOT

MAIN = (ROOT / "infra/main.bicep").read_text(encoding="utf-8")
FLEX = (ROOT / "infra/modules/function-flex.bicep").read_text(encoding="utf-8")
PARAMETERS = json.loads((ROOT / "infra/main.parameters.json").read_text(encoding="utf-8"))["parameters"]


@pytest.fixture
def services() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return dict(document["services"])


@pytest.fixture
def ignored() -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text(encoding="utf-8").splitlines())


def test_the_one_service_is_the_app_in_this_folder(services: dict[str, Any]) -> None:
    assert list(services.values()) == [{"project": ".", "language": "python", "host": "function"}]


def test_the_template_has_the_name_that_telemetry_and_galleries_know_it_by() -> None:
    document = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
    assert re.fullmatch(rf"{document['name']}@\d+\.\d+\.\d+", document["metadata"]["template"])


def test_azd_finds_the_function_app_by_the_tag_with_the_services_name(services: dict[str, Any]) -> None:
    assert re.findall(r"'azd-service-name': '(\w+)'", FLEX) == list(services)


def test_azd_finds_the_resource_group_by_the_environments_tag() -> None:
    assert "'azd-env-name': environmentName" in MAIN


def test_azd_fills_in_parameters_that_the_template_has() -> None:
    assert PARAMETERS.keys() <= set(re.findall(r"^param (\w+)", MAIN, re.MULTILINE))


@pytest.mark.parametrize("name", ["azure.yaml", ".azure/drop/.env", ".github/workflows/ci.yml", "infra/main.bicep"])
def test_nothing_of_the_deployment_is_published(ignored: GitIgnoreSpec, name: str) -> None:
    assert ignored.match_file(name)


@pytest.mark.parametrize("name", ["function_app.py", "host.json", "requirements.txt", "services/redis_tiers.json"])
def test_the_app_is_published(ignored: GitIgnoreSpec, name: str) -> None:
    assert not ignored.match_file(name)


def test_the_environments_of_azd_stay_out_of_the_repository() -> None:
    # They hold names of a subscription, and whatever somebody sets with `azd env set`.
    spec = GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())
    assert spec.match_file(".azure/drop/.env")
