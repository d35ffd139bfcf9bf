"""main.bicep compiled and evaluated: it deploys what the snapshots show; its parameters, their bounds, no secrets."""

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.settings import LOCK_RENEWAL_S, load_settings
from tests import ROOT
from tests.infra.compiler import Evaluator, Refused
from tests.infra.conftest import SAFE, snapshot_of
from tests.infra.deployment import texts

REFRESH = "look at the difference, then write it anew with the command in infra/README.md"
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


def test_what_azd_fills_in_are_parameters_and_its_defaults_are_those_of_the_template(template: dict[str, Any]) -> None:
    given = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"]
    parameters = template["parameters"]
    assert set(given) <= set(parameters)
    assert {name for name, one in parameters.items() if "defaultValue" not in one} <= set(given)
    for name, one in given.items():
        variable, _, fallback = one["value"].removeprefix("${").removesuffix("}").partition("=")
        assert re.fullmatch(r"[A-Z_]+", variable)
        assert fallback in ("", str(parameters[name].get("defaultValue")))


def test_a_tier_that_the_table_lacks_is_refused(bicep: Evaluator, infra: Path) -> None:
    wrong = infra / "params/unknown-tier.bicepparam"
    shutil.copy(infra / "params/managed-b0.bicepparam", wrong)
    wrong.write_text(wrong.read_text() + "param redisTier = 'Balanced_B2'\n")
    with pytest.raises(Refused):
        bicep.snapshot(wrong)


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


@pytest.mark.parametrize(
    "expression", ["listKeys(a, '1').key1", "[concat('k', cache.listkeys())]", "listAccountSas(a, b, c)"]
)
def test_the_search_for_secrets_finds_what_it_looks_for(expression: str) -> None:
    assert SECRET_MAKERS.search(expression)
