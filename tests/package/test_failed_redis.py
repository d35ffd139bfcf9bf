"""infra/failed-redis.sh, which azd runs first: a Redis that failed stops the deployment, all else does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.stand_ins import StandIns, stand_ins

SCRIPT = ROOT / "infra/failed-redis.sh"
ID = "/subscriptions/s/resourceGroups/rg-drop/providers/Microsoft.Cache/redisEnterprise/redis-x"
ENVIRONMENT = {"AZURE_SUBSCRIPTION_ID": "s", "AZURE_ENV_NAME": "drop"}
ASKED = "az resource list --subscription s --resource-group rg-drop"


@pytest.fixture
def azure(tmp_path: Path) -> StandIns:
    return stand_ins(tmp_path, "az")


def test_azd_runs_it_before_it_provisions() -> None:
    hook = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))["hooks"]["preprovision"]["posix"]
    assert hook == {"shell": "sh", "run": str(SCRIPT.relative_to(ROOT))}
    assert SCRIPT.stat().st_mode & 0o111


def test_a_failed_redis_stops_the_deployment_with_the_command_that_removes_it(azure: StandIns) -> None:
    azure.answer(ASKED, [ID])
    done = azure.run(f"sh {SCRIPT}", ENVIRONMENT)
    assert done.returncode == 1
    assert f"  az resource delete --ids {ID}\n" in done.stderr
    assert "REDIS_LOCATION" in done.stderr


def test_it_asks_for_any_redis_of_this_environment_that_failed(azure: StandIns) -> None:
    azure.run(f"sh {SCRIPT}", ENVIRONMENT)
    (wanted,) = azure.asked
    assert wanted.startswith(ASKED)
    assert "[?starts_with(type, 'Microsoft.Cache/') && provisioningState=='Failed'].id" in wanted


def test_it_removes_nothing_itself(azure: StandIns) -> None:
    azure.answer(ASKED, [ID])
    azure.run(f"sh {SCRIPT}", ENVIRONMENT)
    assert not [line for line in azure.asked if re.search(r"\b(delete|update|create)\b", line)]


def test_a_redis_that_is_well_stops_nothing(azure: StandIns) -> None:
    azure.answer(ASKED, [])
    done = azure.run(f"sh {SCRIPT}", ENVIRONMENT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_az_the_check_is_skipped_with_a_notice(azure: StandIns) -> None:
    azure.answer(ASKED, None, code=1)
    done = azure.run(f"sh {SCRIPT}", ENVIRONMENT)
    assert (done.returncode, done.stderr.count("az login")) == (0, 1)


@pytest.mark.parametrize("missing", ENVIRONMENT)
def test_before_the_first_deployment_nothing_is_asked(azure: StandIns, missing: str) -> None:
    done = azure.run(f"sh {SCRIPT}", {name: text for name, text in ENVIRONMENT.items() if name != missing})
    assert (done.returncode, azure.asked) == (0, [])
