"""What the host will find: every function, route, method, auth level and binding, exactly as they are listed here."""

from __future__ import annotations

import json
from typing import Any

import pytest

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


@pytest.fixture(scope="module")
def index() -> dict[str, Any]:
    return index_of(ROOT / "function_app.py")


def test_the_app_has_exactly_the_functions_of_the_design(index: dict[str, Any]) -> None:
    assert sorted(index) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_function_has_exactly_the_trigger_of_the_design(index: dict[str, Any], name: str) -> None:
    assert index[name] == EXPECTED[name]


@pytest.fixture
def host() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "host.json").read_text())
    return document


def test_the_host_file_asks_for_bundle_4_and_the_documented_prefix(host: dict[str, Any]) -> None:
    assert host["version"] == "2.0"
    assert host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    assert host["extensions"]["http"]["routePrefix"] == "api"


def test_nothing_is_prefetched(host: dict[str, Any]) -> None:
    assert host["extensions"]["serviceBus"]["prefetchCount"] == 0


def test_the_host_completes_and_abandons_messages_by_what_the_function_does(host: dict[str, Any]) -> None:
    assert host["extensions"]["serviceBus"]["autoCompleteMessages"] is True
