"""The app's settings are the same in Bicep, in the code and locally, and Flex Consumption takes all of them."""

from __future__ import annotations

import importlib
import json
import pkgutil

import pytest

from services.connection_budget import kept_ready
from services.settings import HOST_TELEMETRY, SETTING_NAMES, WORKER_TELEMETRY, Settings, load_settings
from tests import ROOT
from tests.infra.deployment import Deployment
from tests.plain_pytest import without

BICEP, CODE, LOCAL = "Bicep", "code", "local.settings.json.example"
EVERYWHERE = {BICEP, CODE, LOCAL}

BOTH = {HOST_TELEMETRY, WORKER_TELEMETRY}  # or neither
LOGGER = "PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME"
EXPORTED = {"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", LOGGER}

# Every setting that is not in all three places: where it is, and why not in the others.
DIFFERENCES: dict[str, tuple[set[str], str]] = {
    "ServiceBusConnection": ({CODE, LOCAL}, "in Azure an identity takes its place"),
    "ServiceBusConnection__fullyQualifiedNamespace": ({BICEP, CODE}, "locally a connection string takes its place"),
    "ServiceBusConnection__credential": ({BICEP, CODE}, "locally a connection string takes its place"),
    "ServiceBusConnection__clientId": ({BICEP, CODE}, "locally a connection string takes its place"),
    "REDIS_ENTRA_CLIENT_ID": ({BICEP, CODE}, "there is no managed identity on a developer's machine"),
    "REDIS_TIER": ({BICEP, CODE}, "the budget of a deployed app"),
    "SCALE_OUT_LIMIT": ({BICEP, CODE}, "the budget of a deployed app"),
    "SCALE_GROUPS": ({BICEP, CODE}, "the budget of a deployed app"),
    "ALWAYS_READY_INSTANCES": ({BICEP, CODE}, "the budget of a deployed app"),
    "REDIS_HEADROOM_PERCENT": ({BICEP, CODE}, "the budget of a deployed app"),
    "REDIS_PRIMARIES": ({BICEP, CODE}, "the budget of a deployed app"),
    "FUNCTIONS_WORKER_PROCESS_COUNT": ({CODE}, "the platform's own, on other plans; Flex refuses it"),
    "FUNCTIONS_WORKER_RUNTIME": ({LOCAL}, "the host's own; Flex has it in functionAppConfig"),
    "AzureWebJobsDisableHomepage": ({BICEP}, "the host's own; func start has no home page to close"),
    "AzureWebJobsStorage": ({LOCAL}, "the host's own; in Azure an identity takes its place"),
    "AzureWebJobsStorage__accountName": ({BICEP}, "the host's own, by identity"),
    "AzureWebJobsStorage__credential": ({BICEP}, "the host's own, by identity"),
    "AzureWebJobsStorage__clientId": ({BICEP}, "the host's own, by identity"),
    "APPLICATIONINSIGHTS_CONNECTION_STRING": ({BICEP}, "the host's own; nothing is reported locally"),
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": ({BICEP}, "the host's own; nothing is reported locally"),
    "AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls": ({BICEP}, "overrides host.json"),
    **{name: ({BICEP, CODE}, "where telemetry is on; nothing is reported locally") for name in sorted(BOTH)},
    **{name: ({BICEP}, "the exporters' own, where telemetry is on") for name in sorted(EXPORTED)},
}

# learn.microsoft.com/azure/azure-functions/functions-app-settings, Flex Consumption plan deprecations.
REFUSED_BY_FLEX = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_USE_PLACEHOLDER",
    "WEBSITE_VNET_ROUTE_ALL",
}


GROUPS = ("http", "function:fulfil_order")


@pytest.fixture(scope="module")
def local() -> dict[str, str]:
    """What a developer starts from."""
    values: dict[str, str] = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    return values


def test_each_setting_is_in_all_three_places_or_in_the_list(deployment: Deployment, local: dict[str, str]) -> None:
    places = {BICEP: set(deployment.app_settings), CODE: set(SETTING_NAMES), LOCAL: set(local)}
    names = set().union(*places.values())
    found = {name: {place for place, known in places.items() if name in known} for name in names}
    off = set() if BOTH & places[BICEP] else {BICEP}
    expected = {
        name: DIFFERENCES.get(name, (EVERYWHERE, ""))[0] - (off if name in BOTH | EXPORTED else set()) for name in names
    }
    assert found == expected


def test_the_list_names_no_setting_that_is_nowhere(large: Deployment, local: dict[str, str]) -> None:
    assert set(DIFFERENCES) <= {*large.app_settings, *SETTING_NAMES, *local}


def test_the_host_and_the_worker_export_by_opentelemetry_together_or_not_at_all(deployment: Deployment) -> None:
    """Set apart, logs are lost; and sampled apart, a trace has holes."""
    written = {name: text for name, text in deployment.app_settings.items() if name in BOTH | EXPORTED}
    together = {
        HOST_TELEMETRY: "OpenTelemetry",
        WORKER_TELEMETRY: "true",
        "OTEL_TRACES_SAMPLER": "microsoft.fixed_percentage",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "azure_sdk",
        LOGGER: "services",
    }
    assert written in ({}, together)
    assert load_settings(deployment.resolved_app_settings).telemetry is bool(written)


def test_no_setting_that_telemetry_adds_is_written_without_it(default: Deployment, large: Deployment) -> None:
    assert set(large.app_settings) - set(default.app_settings) == BOTH | EXPORTED


@without("opentelemetry")
def test_every_logger_of_the_app_is_below_the_one_that_is_exported(large: Deployment) -> None:
    """A line of any other logger never reaches Application Insights."""
    packages = [importlib.import_module(name) for name in ("blueprints", "services")]
    names = [
        one.name for package in packages for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    loggers = {log.name for name in names if (log := getattr(importlib.import_module(name), "log", None))}
    assert len(loggers) > 5
    assert {name for name in loggers if not name.startswith(f"{large.app_settings[LOGGER]}.")} == set()


def test_the_exporters_take_the_app_s_identity_for_application_insights_takes_no_key(deployment: Deployment) -> None:
    """The worker hands its exporter no credential; the exporter reads this setting, as the host does."""
    shown = deployment.app_settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]
    assert "Authorization=AAD" in shown
    assert "ClientId=" in shown


def test_the_app_finds_no_problem_in_what_bicep_writes(deployment: Deployment) -> None:
    assert load_settings(deployment.resolved_app_settings).problems == ()


def test_the_deployed_app_computes_the_clients_that_the_deployment_tells(deployment: Deployment) -> None:
    budget = load_settings(deployment.resolved_app_settings).connection_budget
    assert budget is not None
    shown = (deployment.outputs["REDIS_CLIENTS_AT_FULL_SCALE"], deployment.outputs["REDIS_CLIENTS_ALLOWED"])
    assert shown == (budget.clients, budget.usable)


def test_the_platform_scales_to_the_limit_that_the_app_has(deployment: Deployment) -> None:
    settings = load_settings(deployment.resolved_app_settings)
    zones = deployment.only("Microsoft.Web/serverfarms")["properties"]["zoneRedundant"]
    wanted = {group["name"]: group["instanceCount"] for group in deployment.scale["alwaysReady"]}
    always_ready = kept_ready(*(wanted.get(name, 0) for name in GROUPS), zone_redundant=zones)
    shown = (settings.scale_out_limit, settings.always_ready_instances)
    assert shown == (deployment.scale["maximumInstanceCount"], always_ready)


@pytest.mark.parametrize("name", ["HOLD_S", "PATIENCE_S", "REDIS_IDLE_CHECK_S", "REDIS_CONNECTIONS_PER_WORKER"])
def test_the_default_in_bicep_and_the_local_example_are_the_default_of_the_code(
    default: Deployment, local: dict[str, str], name: str
) -> None:
    (field,) = [field for field in Settings.model_fields.values() if field.alias == name]
    assert float(default.app_settings[name]) == float(local[name]) == field.default


def test_redis_is_reached_over_tls_with_neither_user_nor_password(deployment: Deployment) -> None:
    assert deployment.app_settings["REDIS_URL"].startswith("[format('rediss://{0}:{1}/0', reference(")


def test_no_setting_is_one_that_flex_consumption_refuses(deployment: Deployment) -> None:
    assert set(deployment.app_settings) & REFUSED_BY_FLEX == set()
