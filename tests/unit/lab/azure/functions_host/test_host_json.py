"""What the light host reads of host.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.azure.functions_host import HostConfig, ServiceBusOptions
from lab.azure.functions_host.host_json import HostJsonError, HttpOptions


def load(folder: Path, document: Any, settings: dict[str, str] | None = None) -> HostConfig:
    content = document if isinstance(document, str) else json.dumps({"version": "2.0", **document})
    (folder / "host.json").write_text(content, encoding="utf-8")
    return HostConfig.load(folder, settings or {})


def test_without_a_file_every_value_is_the_reference_pages_default(tmp_path: Path) -> None:
    assert HostConfig.load(tmp_path, {}) == HostConfig(
        HttpOptions("api"), 1800.0, ServiceBusOptions(16, 300.0, 0, True)
    )


def test_its_values_are_read(tmp_path: Path) -> None:
    bus: dict[str, Any] = {"maxConcurrentCalls": 4, "prefetchCount": 2, "autoCompleteMessages": False}
    bus["maxAutoLockRenewalDuration"] = "00:01:30"
    document = {
        "functionTimeout": "00:05:00",
        "extensions": {"http": {"routePrefix": "shop", "maxOutstandingRequests": 9}, "serviceBus": bus},
    }
    assert load(tmp_path, document) == HostConfig(
        HttpOptions("shop", None, 9), 300.0, ServiceBusOptions(4, 90.0, 2, False)
    )


def test_comments_a_bom_closing_commas_any_case_and_days_are_read(tmp_path: Path) -> None:
    document = """\ufeff{"Version": "2.0", // a comment
        "functionTimeout": "1", "Extensions": {"HTTP": {"ROUTEPREFIX": "zz",},},}"""
    assert load(tmp_path, document) == HostConfig(HttpOptions("zz"), 86_400.0)


def test_minus_one_means_no_timeout(tmp_path: Path) -> None:
    assert load(tmp_path, {"functionTimeout": "-1"}).function_timeout_s is None


def test_an_app_setting_overrides_a_value_whatever_its_case(tmp_path: Path) -> None:
    settings = {"AzureFunctionsJobHost__extensions__servicebus__maxConcurrentCalls": "3"}
    document = {"extensions": {"serviceBus": {"maxConcurrentCalls": 8}}}
    assert load(tmp_path, document, settings).service_bus.max_concurrent_calls == 3


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("{", "not JSON"),
        ("[]", "object"),
        ({"extensions": []}, "extensions"),
        ("{}", "version"),
        ({"extensions": {"serviceBus": {"maxConcurrentCalls": -1}}}, "maxConcurrentCalls"),
        ({"extensions": {"serviceBus": {"maxConcurrentCalls": "many"}}}, "maxConcurrentCalls"),
        ({"extensions": {"serviceBus": {"maxAutoLockRenewalDuration": "5 minutes"}}}, "5 minutes"),
        ({"functionTimeout": "soon"}, "soon"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(tmp_path: Path, document: Any, named: str) -> None:
    with pytest.raises(HostJsonError, match=named):
        load(tmp_path, document)
