"""azure.yaml, what azd fills in and .funcignore agree with the templates and with each other."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests import ROOT

MAIN = (ROOT / "infra/main.bicep").read_text(encoding="utf-8")
FLEX = (ROOT / "infra/modules/function-flex.bicep").read_text(encoding="utf-8")


@pytest.fixture
def services() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return dict(document["services"])


def test_the_one_service_is_the_app_in_this_folder(services: dict[str, Any]) -> None:
    assert list(services.values()) == [{"project": ".", "language": "python", "host": "function"}]


def test_the_template_has_the_name_that_telemetry_and_galleries_know_it_by() -> None:
    document = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
    assert re.fullmatch(rf"{document['name']}@\d+\.\d+\.\d+", document["metadata"]["template"])


def test_azd_finds_the_function_app_by_the_tag_with_the_services_name(services: dict[str, Any]) -> None:
    assert re.findall(r"'azd-service-name': '(\w+)'", FLEX) == list(services)


def test_azd_finds_the_resource_group_by_the_environments_tag() -> None:
    assert "'azd-env-name': environmentName" in MAIN
