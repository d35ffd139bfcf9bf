"""The connection budget in Bicep says what services/connection_budget.py says, in the same words."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from services.connection_budget import ConnectionBudget, kept_ready, tier_limits
from services.errors import OverBudget
from tests.infra.compiler import Evaluator, Refused, snapshot_by_command
from tests.infra.conftest import UNSAFE
from tests.infra.deployment import Deployment

SWEEP = """
import { clients, instances, keptReady, largestSafeLimit, refusalOf, usableClients } from 'modules/budget.bicep'

var cases = loadJsonContent('cases.json')

output refusals string[] = map(cases, one => refusalOf(one))
output numbers int[][] = map(cases, one => [
  instances(one)
  clients(one)
  usableClients(one)
  largestSafeLimit(one)
])
output ready int[] = map(loadJsonContent('ready.json'), one => keptReady(one.http, one.worker, one.zones))
"""
READY = list(itertools.product((0, 1, 2, 3, 100), (0, 1, 2, 3, 100), (False, True)))
REFUSED = {
    "unsafe-classic-c0": ConnectionBudget("Basic_C0", 100, connections_per_worker=2),
    "unsafe-zones-c0": ConnectionBudget("Basic_C0", 101, always_ready=kept_ready(0, 0, zone_redundant=True)),
}
BOUNDARIES = [
    ConnectionBudget("Basic_C0", 51, connections_per_worker=2),
    ConnectionBudget("Standard_C1", 14, always_ready=30, connections_per_worker=8, headroom_percent=53),
    ConnectionBudget("Premium_P1", 860, connections_per_worker=3, always_ready=5, headroom_percent=31),
    ConnectionBudget("Balanced_B10", 299, connections_per_worker=40, always_ready=2),
]


def refusal(budget: ConnectionBudget) -> str:
    """What the code says against a budget; empty if nothing."""
    try:
        budget.check()
    except OverBudget as error:
        return str(error)
    return ""


def sweep(cases: int = 2000) -> list[ConnectionBudget]:
    """Every tier, every input, limits at and around the boundary; the same ones each time."""
    inputs = itertools.product(
        tier_limits(), (1, 2), (0, 1, 20, 33, 90), (0, 1, 50, 200), (1, 2, 10), (1, 2, 3, 7, 100), (1, 3, 24)
    )
    some = random.Random(6)
    budgets = []
    for tier, groups, headroom, always_ready, workers, connections, primaries in some.sample(list(inputs), cases):
        budget = ConnectionBudget(tier, 1, groups, always_ready, workers, connections, headroom, primaries)
        largest = budget.largest_safe_limit
        budgets.append(replace(budget, scale_out_limit=max(1, some.choice([1, largest, largest + 1, 1000]))))
    return budgets


def in_bicep(budget: ConnectionBudget) -> dict[str, Any]:
    """The same budget as an argument of the Bicep functions."""
    return {_camel_case(name): value for name, value in asdict(budget).items()}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


@pytest.fixture(scope="module")
def swept(bicep: Evaluator, infra: Path) -> tuple[list[ConnectionBudget], dict[str, Any]]:
    """Thousands of budgets in one evaluation."""
    budgets = sweep()
    (infra / "cases.json").write_text(json.dumps([in_bicep(budget) for budget in budgets]))
    (infra / "ready.json").write_text(
        json.dumps([dict(zip(("http", "worker", "zones"), one, strict=True)) for one in READY])
    )
    (infra / "sweep.bicep").write_text(SWEEP)
    (infra / "sweep.bicepparam").write_text("using 'sweep.bicep'\n")
    return budgets, bicep.snapshot(infra / "sweep.bicepparam")["outputs"]


def test_both_refuse_the_same_budgets_in_the_same_words(swept: tuple[list[ConnectionBudget], dict[str, Any]]) -> None:
    budgets, found = swept
    assert found["refusals"] == [refusal(budget) for budget in budgets]


def test_both_compute_the_same_numbers(swept: tuple[list[ConnectionBudget], dict[str, Any]]) -> None:
    budgets, found = swept
    expected = [[one.instances, one.clients, one.usable, one.largest_safe_limit] for one in budgets]
    assert found["numbers"] == expected


def test_both_keep_as_many_instances_ready(swept: tuple[list[ConnectionBudget], dict[str, Any]]) -> None:
    _, found = swept
    assert found["ready"] == [kept_ready(http, worker, zone_redundant=zones) for http, worker, zones in READY]


def parameters(infra: Path, budget: ConnectionBudget) -> Path:
    """A parameter file for a budget; the always-ready instances are shared out between both groups."""
    worker = budget.always_ready // 3
    file = infra / "params/boundary.bicepparam"
    file.write_text(
        f"""using '../main.bicep'

param environmentName = 'boundary'
param location = 'swedencentral'
param redisTier = '{budget.tier}'
param scaleOutLimit = {budget.scale_out_limit}
param alwaysReadyHttp = {budget.always_ready - worker}
param alwaysReadyWorker = {worker}
param redisConnectionsPerWorker = {budget.connections_per_worker}
param redisHeadroomPercent = {budget.headroom_percent}
"""
    )
    return file


@pytest.mark.parametrize("budget", BOUNDARIES, ids=lambda b: f"{b.tier}-{b.scale_out_limit}")
def test_the_largest_safe_limit_is_deployed_and_set_for_the_app(
    bicep: Evaluator, infra: Path, budget: ConnectionBudget
) -> None:
    assert budget.largest_safe_limit == budget.scale_out_limit
    deployment = Deployment(bicep.snapshot(parameters(infra, budget)))
    assert deployment.scale["maximumInstanceCount"] == budget.scale_out_limit
    assert deployment.app_settings["SCALE_OUT_LIMIT"] == str(budget.scale_out_limit)


@pytest.mark.parametrize("budget", BOUNDARIES, ids=lambda b: f"{b.tier}-{b.scale_out_limit}")
def test_one_instance_more_is_refused_with_the_words_of_the_code(
    bicep: Evaluator, infra: Path, budget: ConnectionBudget
) -> None:
    above = replace(budget, scale_out_limit=budget.scale_out_limit + 1)
    with pytest.raises(Refused) as refused:
        bicep.snapshot(parameters(infra, above))
    assert refusal(above) in str(refused.value)
    assert f"Set the scale-out limit to {budget.scale_out_limit} or less" in str(refused.value)


@pytest.mark.parametrize("name", UNSAFE)
def test_the_command_refuses_an_unsafe_file_with_the_numbers_and_the_largest_safe_limit(
    compiler: Path, infra: Path, name: str
) -> None:
    """Exit 1 alone could be any mistake."""
    done = snapshot_by_command(compiler, infra / f"params/{name}.bicepparam")
    assert done.returncode == 1
    assert refusal(REFUSED[name]) in done.stdout + done.stderr


CLUSTERED = {"Balanced_B0": 1, "Balanced_B20": 6, "Balanced_B100": 24, "ComputeOptimized_X10": 6, "Basic_C0": 1}


@pytest.mark.parametrize("tier", CLUSTERED)
def test_an_oss_cluster_counts_every_primary_of_its_tier(bicep: Evaluator, infra: Path, tier: str) -> None:
    """The classic tiers of this template are not clusters."""
    file = parameters(infra, ConnectionBudget(tier, 10, connections_per_worker=2))
    file.write_text(file.read_text() + "param redisClustering = 'OSSCluster'\n")
    deployment = Deployment(bicep.snapshot(file))
    budget = ConnectionBudget(tier, 10, connections_per_worker=2, primaries=CLUSTERED[tier])
    assert deployment.app_settings["REDIS_PRIMARIES"] == str(CLUSTERED[tier])
    assert deployment.outputs["REDIS_CLIENTS_AT_FULL_SCALE"] == budget.clients
