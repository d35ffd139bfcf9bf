"""What the host will find: every function, route, method, auth level and binding, exactly as they are listed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.settings import LOCK_RENEWAL_S, SETTING_NAMES
from tests import ROOT
from tests.function_index import index_of


def http(route: str, auth_level: str, *methods: str) -> list[dict[str, Any]]:
    trigger = {
        "direction": "IN",
        "type": "httpTrigger",
        "name": "req",
        "route": route,
        "methods": list(methods),
        "authLevel": auth_level,
    }
    return [trigger, {"direction": "OUT", "type": "http", "name": "$return"}]


EXPECTED = {
    "put_drop": http("drops/{drop_id}", "FUNCTION", "PUT"),
    "get_drop": http("drops/{drop_id}", "FUNCTION", "GET"),
    "place_order": http("drops/{drop_id}/orders", "FUNCTION", "POST"),
    "list_orders": http("drops/{drop_id}/orders", "FUNCTION", "GET"),
    "get_order": http("drops/{drop_id}/orders/{order_id}", "FUNCTION", "GET"),
    "fulfil_order": [
        {
            "direction": "IN",
            "type": "serviceBusTrigger",
            "name": "message",
            "queueName": "%ORDERS_QUEUE%",
            "connection": "ServiceBusConnection",
        }
    ],
    "health": http("health", "ANONYMOUS", "GET", "HEAD"),
    "ready": http("health/ready", "ANONYMOUS", "GET", "HEAD"),
    "openapi": http("openapi.json", "ANONYMOUS", "GET"),
}

# Settings of the app that the example leaves out, and why.
NOT_IN_THE_EXAMPLE = {
    "ServiceBusConnection__fullyQualifiedNamespace": "an identity instead of the connection string",
    "ServiceBusConnection__credential": "an identity instead of the connection string",
    "ServiceBusConnection__clientId": "an identity instead of the connection string",
    "REDIS_ENTRA_CLIENT_ID": "an identity instead of the password, only in Azure",
    "REDIS_TIER": "the budget of a deployed app",
    "SCALE_OUT_LIMIT": "the budget of a deployed app",
    "SCALE_GROUPS": "the budget of a deployed app",
    "REDIS_PRIMARIES": "the budget of a deployed app",
    "ALWAYS_READY_INSTANCES": "the budget of a deployed app",
    "REDIS_HEADROOM_PERCENT": "the budget of a deployed app",
    "FUNCTIONS_WORKER_PROCESS_COUNT": "the platform's own",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "nothing is reported locally",
    "AzureFunctionsJobHost__telemetryMode": "nothing is reported locally",
}
THE_HOSTS_OWN = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}


@pytest.fixture(scope="module")
def index() -> dict[str, Any]:
    return index_of(ROOT / "function_app.py")


def test_the_app_has_exactly_the_functions_of_the_design(index: dict[str, Any]) -> None:
    assert sorted(index) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_function_has_exactly_the_trigger_of_the_design(index: dict[str, Any], name: str) -> None:
    assert index[name] == EXPECTED[name]


@pytest.mark.parametrize("blueprint", ["drops", "orders", "fulfilment"])
def test_a_forgotten_registration_shows_in_the_index(tmp_path: Path, blueprint: str) -> None:
    line = f"app.register_functions({blueprint}.bp)\n"
    source = (ROOT / "function_app.py").read_text()
    assert line in source
    forgetful = tmp_path / "function_app.py"
    forgetful.write_text(source.replace(line, ""))
    assert set(index_of(forgetful)) < set(EXPECTED)


def test_no_two_functions_answer_the_same_route_and_method() -> None:
    routes = [(b["route"], *b["methods"]) for bindings in EXPECTED.values() for b in bindings if "route" in b]
    assert len(set(routes)) == len(routes)


@pytest.fixture
def host() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "host.json").read_text())
    return document


def test_the_host_file_asks_for_bundle_4_and_the_documented_prefix(host: dict[str, Any]) -> None:
    assert host["version"] == "2.0"
    assert host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    assert host["extensions"]["http"]["routePrefix"] == "api"


def test_nothing_is_prefetched_and_a_lock_is_renewed_for_5_minutes(host: dict[str, Any]) -> None:
    bus = host["extensions"]["serviceBus"]
    assert (bus["prefetchCount"], bus["maxAutoLockRenewalDuration"]) == (0, "00:05:00")
    assert LOCK_RENEWAL_S == 300


def test_the_host_completes_and_abandons_messages_by_what_the_function_does(host: dict[str, Any]) -> None:
    assert host["extensions"]["serviceBus"]["autoCompleteMessages"] is True


def test_a_function_may_run_at_least_as_long_as_its_lock_is_renewed(host: dict[str, Any]) -> None:
    assert host["functionTimeout"] >= host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"]


def test_the_example_settings_are_those_of_the_app_and_the_hosts_own() -> None:
    example = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    assert set(example) == set(SETTING_NAMES) - set(NOT_IN_THE_EXAMPLE) | THE_HOSTS_OWN
