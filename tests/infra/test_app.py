"""The names and rules that the app's code and host.json share with the infrastructure around them."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from services.settings import LOCK_RENEWAL_S, Settings
from tests import ROOT
from tests.function_index import index_of
from tests.infra.deployment import Deployment

RENEWED = timedelta(seconds=LOCK_RENEWAL_S)


@pytest.fixture(scope="module")
def index() -> dict[str, Any]:
    """Function name -> bindings, as the host will find them."""
    return index_of(ROOT / "function_app.py")


@pytest.fixture(scope="module")
def trigger(index: dict[str, Any]) -> dict[str, Any]:
    """The one Service Bus trigger, with the name of its function."""
    ((name, binding),) = [
        (name, binding) for name, bindings in index.items() for binding in bindings if "queueName" in binding
    ]
    return {"function": name, **binding}


@pytest.fixture(scope="module")
def host() -> dict[str, Any]:
    """host.json."""
    document: dict[str, Any] = json.loads((ROOT / "host.json").read_text())
    return document


def duration(text: str) -> timedelta:
    """`00:05:00` of host.json, or `PT5M` of Azure."""
    if found := re.fullmatch(r"PT(\d+)M", text):
        return timedelta(minutes=int(found[1]))
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def queue(deployment: Deployment) -> dict[str, Any]:
    """The properties of the orders queue."""
    properties: dict[str, Any] = deployment.only("Microsoft.ServiceBus/namespaces/queues")["properties"]
    return properties


def test_the_trigger_s_queue_is_the_setting_and_the_setting_is_the_queue(
    default: Deployment, trigger: dict[str, Any]
) -> None:
    name = default.only("Microsoft.ServiceBus/namespaces/queues")["name"].split("/")[1]
    assert trigger["queueName"] == "%ORDERS_QUEUE%"
    assert default.app_settings["ORDERS_QUEUE"] == default.outputs["ORDERS_QUEUE"] == name


def test_the_trigger_s_connection_is_the_one_that_bicep_writes(default: Deployment, trigger: dict[str, Any]) -> None:
    written = {name.split("__")[1] for name in default.app_settings if name.startswith(f"{trigger['connection']}__")}
    assert written == {"fullyQualifiedNamespace", "credential", "clientId"}


def test_the_always_ready_groups_are_http_and_the_service_bus_function(
    large: Deployment, trigger: dict[str, Any]
) -> None:
    assert [group["name"] for group in large.scale["alwaysReady"]] == ["http", f"function:{trigger['function']}"]


def test_the_code_has_as_many_scale_groups_as_bicep_counts(default: Deployment, index: dict[str, Any]) -> None:
    kinds = [binding["type"] for bindings in index.values() for binding in bindings if binding["direction"] == "IN"]
    groups = ("httpTrigger" in kinds) + len([kind for kind in kinds if kind != "httpTrigger"])
    assert default.app_settings["SCALE_GROUPS"] == str(groups)


@pytest.mark.parametrize("rule", ["answers-5xx", "answers-503"])
def test_the_rates_leave_out_exactly_the_probes(index: dict[str, Any], rule: str) -> None:
    """The anonymous functions are asked by whoever watches or looks, however little is sold."""
    probes = {name for name, bindings in index.items() if any(b.get("authLevel") == "ANONYMOUS" for b in bindings)}
    query = (ROOT / f"infra/queries/{rule}.kql").read_text()
    (left_out,) = re.findall(r"operation_Name !in \((.*)\)", query)
    assert set(re.findall(r'"(\w+)"', left_out)) == probes


def test_a_message_is_handled_inside_its_lock_s_renewal_and_the_function_s_time(host: dict[str, Any]) -> None:
    renewal = duration(host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"])
    patience = timedelta(seconds=Settings.model_fields["patience_s"].default)
    assert patience < renewal == RENEWED <= duration(host["functionTimeout"])


def test_the_host_renews_the_lock_for_longer_than_the_queue_gives_it(default: Deployment) -> None:
    assert duration(queue(default)["lockDuration"]) < RENEWED


def test_the_deliveries_outlast_a_redis_outage_of_20_minutes(default: Deployment) -> None:
    patience = timedelta(seconds=int(default.app_settings["PATIENCE_S"]))
    assert queue(default)["maxDeliveryCount"] * patience >= timedelta(minutes=20)


def test_the_override_of_host_json_names_a_value_that_is_there_and_has_its_default(
    default: Deployment, host: dict[str, Any]
) -> None:
    (override,) = [name for name in default.app_settings if name.startswith("AzureFunctionsJobHost__")]
    value: Any = host
    for part in override.split("__")[1:]:
        value = value[part]
    assert default.app_settings[override] == str(value)


def test_host_json_asks_for_nothing_that_only_other_plans_have(host: dict[str, Any]) -> None:
    """Flex Consumption scales by its own per-instance HTTP concurrency, not by host.json's dynamic one."""
    assert set(host) == {"version", "logging", "functionTimeout", "extensionBundle", "extensions"}  # no telemetryMode
    assert set(host["extensions"]["http"]) == {"routePrefix"}


def test_requests_are_sampled_and_every_query_counts_what_a_sample_stands_for(host: dict[str, Any]) -> None:
    """A spike's logs cost by volume; what fails is kept whole."""
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert (sampling["isEnabled"], sampling["excludedTypes"]) == (True, "Exception")
    for file in (ROOT / "infra/queries").glob("*.kql"):
        query = file.read_text()
        assert "count()" not in query
        assert "sum(itemCount)" in query


def test_the_queue_is_what_the_lab_runs_the_app_on(default: Deployment) -> None:
    (namespace,) = json.loads((ROOT / "lab/azure/service_bus/Config.json").read_text())["UserConfig"]["Namespaces"]
    (local,) = namespace["Queues"]
    found = {name[0].upper() + name[1:]: value for name, value in queue(default).items()}
    window = "DuplicateDetectionHistoryTimeWindow"  # Microsoft's emulator, which reads the same file, takes 5 minutes
    wanted = {**local["Properties"], window: "PT10M"}
    assert {name: found[name] for name in wanted} == wanted
    assert local["Properties"][window] == "PT5M"
