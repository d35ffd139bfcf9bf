"""main.bicep compiled and evaluated: it deploys what the snapshots show; its parameters, their bounds, no secrets."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.settings import LOCK_RENEWAL_S, load_settings
from tests import ROOT
from tests.infra.compiler import Evaluator
from tests.infra.conftest import SAFE, snapshot_of
from tests.infra.deployment import texts

REFRESH = "look at the difference, then rewrite it with the command in infra/README.md"
SECRET_MAKERS = re.compile(r"\blist\w+\(", re.IGNORECASE)  # listKeys(), listAccountSas() and their like
FROM_PARAMETER = {
    "REDIS_CONNECTIONS_PER_WORKER": "redisConnectionsPerWorker",
    "REDIS_HEADROOM_PERCENT": "redisHeadroomPercent",
    "REDIS_IDLE_CHECK_S": "redisIdleCheckSeconds",
    "HOLD_S": "holdSeconds",
    "PATIENCE_S": "patienceSeconds",
    "SCALE_OUT_LIMIT": "scaleOutLimit",
    "ALWAYS_READY_INSTANCES": "alwaysReadyHttp",
}


@pytest.fixture(scope="module")
def template(bicep: Evaluator, infra: Path) -> dict[str, Any]:
    """main.bicep as ARM."""
    return bicep.compile(infra / "main.bicep")


@pytest.mark.parametrize("name", SAFE)
def test_a_parameter_file_deploys_what_its_snapshot_shows(bicep: Evaluator, infra: Path, name: str) -> None:
    """Pins every literal: SKUs, policies, metric names, role ids and durations are free text to the compiler."""
    pinned = json.loads(snapshot_of(name).read_text())
    found = bicep.snapshot(infra / f"params/{name}.bicepparam")
    assert found["diagnostics"] == []
    assert found["predictedResources"] == pinned["predictedResources"], REFRESH
    assert found["outputs"] == pinned["outputs"], REFRESH


def test_the_template_knows_exactly_the_tiers_of_the_table(template: dict[str, Any]) -> None:
    table = json.loads((ROOT / "services/redis_tiers.json").read_text())["tiers"]
    (tiers,) = [known for name, known in template["definitions"].items() if name.endswith("tierName")]
    assert sorted(tiers["allowedValues"]) == sorted(table)


def test_azd_can_set_every_parameter_and_its_defaults_are_those_of_the_template(template: dict[str, Any]) -> None:
    """azd reads the text as the parameter's type: numbers and true or false too."""
    given = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"]
    assert list(given) == list(template["parameters"])
    texts_of = {name: one["value"].removeprefix("${").removesuffix("}").partition("=") for name, one in given.items()}
    assert all(re.fullmatch(r"[A-Z_]+", variable) for variable, _, _ in texts_of.values())
    assert {name: fallback for name, (_, _, fallback) in texts_of.items()} == {
        name: _as_text(one.get("defaultValue", "")) for name, one in template["parameters"].items()
    }


def test_no_two_parameters_are_set_by_one_variable_and_none_by_one_that_machines_have_anyway() -> None:
    """azd also reads the environment it runs in; images of Python, for one, set PYTHON_VERSION."""
    variables = re.findall(r"\$\{(\w+)", (ROOT / "infra/main.parameters.json").read_text())
    assert len(set(variables)) == len(variables)
    assert not {"PYTHON_VERSION", "LOCATION", "REGION", "NAME", "TIER"} & set(variables)


def test_no_expression_asks_azure_for_a_secret(template: dict[str, Any]) -> None:
    assert [text for text in texts(template) if SECRET_MAKERS.search(text)] == []


def test_no_output_of_any_module_is_a_connection_string(template: dict[str, Any]) -> None:
    def outputs(part: Any) -> list[Any]:
        if isinstance(part, list):
            return [found for item in part for found in outputs(item)]
        if not isinstance(part, dict):
            return []
        own = [part["outputs"]] if isinstance(part.get("outputs"), dict) else []
        return own + [found for item in part.values() for found in outputs(item)]

    assert len(outputs(template)) >= 8
    assert not re.search(r"connectionstring", str(outputs(template)), re.IGNORECASE)


@pytest.mark.parametrize("bound", ["minValue", "maxValue"])
@pytest.mark.parametrize("name", FROM_PARAMETER)
def test_whatever_bicep_accepts_the_app_accepts(template: dict[str, Any], name: str, bound: str) -> None:
    value = template["parameters"][FROM_PARAMETER[name]][bound]
    problems = load_settings({name: str(value)}).problems
    assert [problem for problem in problems if problem.startswith(f"{name}: ") and "is missing" not in problem] == []


def test_the_longest_patience_that_bicep_accepts_stays_inside_the_renewal(template: dict[str, Any]) -> None:
    longest = template["parameters"]["patienceSeconds"]["maxValue"]
    assert timedelta(seconds=longest) < timedelta(seconds=LOCK_RENEWAL_S)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
