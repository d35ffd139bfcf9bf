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
    document = """\ufeff{"version": "2.0", // a comment
        "functionTimeout": "1", "Extensions": {"HTTP": {"ROUTEPREFIX": "zz",},},}"""
    assert load(tmp_path, document) == HostConfig(HttpOptions("zz"), 86_400.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:01.5", 1.5),
        ("01:30", 5400),
        ("1.00:00:01", 86_401),
        ("1:02:03:04", 93_784),
        ("24:00:00", 24 * 86_400),
        ("2", 2 * 86_400),
        ("-1", None),
        ("-1.00:00", None),
        (None, 1800),
    ],
)
def test_a_duration_is_read_as_dotnet_reads_it(tmp_path: Path, text: str | None, seconds: float | None) -> None:
    assert load(tmp_path, {"functionTimeout": text}).function_timeout_s == seconds


def test_an_empty_object_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "{}") == HostConfig()


def test_functions_that_host_json_lists_are_served_alone(tmp_path: Path) -> None:
    config = load(tmp_path, {"functions": ["Health"]})
    assert (config.serves("health"), config.serves("other"), HostConfig().serves("other")) == (True, False, True)


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
        ('{"Version": "2.0"}', "version"),
        ('{"version": 2.0}', "version"),
        ({"extensions": {"serviceBus": {"maxConcurrentCalls": 2.5}}}, "maxConcurrentCalls"),
        ({"functionTimeout": "00:00:00.5"}, "00:00:00.5"),
        ({"functionTimeout": "00:60:00"}, "00:60:00"),
        ({"functionTimeout": "-2"}, "-2"),
        ({"extensions": {"serviceBus": {"maxConcurrentCalls": -1}}}, "maxConcurrentCalls"),
        ({"extensions": {"serviceBus": {"maxConcurrentCalls": "many"}}}, "maxConcurrentCalls"),
        ({"extensions": {"serviceBus": {"maxAutoLockRenewalDuration": "5 minutes"}}}, "5 minutes"),
        ({"functionTimeout": "soon"}, "soon"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(tmp_path: Path, document: Any, named: str) -> None:
    with pytest.raises(HostJsonError, match=named):
        load(tmp_path, document)
