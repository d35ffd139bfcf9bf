"""Off, telemetry imports nothing; on, the API and nothing else of OpenTelemetry, and that only when it is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT
from tests.plain_pytest import without

SETTINGS = {
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=app;SharedAccessKey=local",
    "ORDERS_QUEUE": "orders",
}
ON = {
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true",
    "AzureFunctionsJobHost__telemetryMode": "OpenTelemetry",
}
OURS = {"services.telemetry.otel_spans", "services.telemetry.session_metrics"}
HIDE = "import sys; sys.modules['opentelemetry'] = None\n"
# redis-py imports the SDK wherever it is installed, as it is for these tests; where the app is deployed it is not.
REDIS_WITHOUT = HIDE + "import redis.asyncio; del sys.modules['opentelemetry']\n"
IMPORT = "import function_app; print(*sys.modules)"


def run(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**SETTINGS, **changes}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True
    )


def imported(**changes: str) -> set[str]:
    return set(run(REDIS_WITHOUT + IMPORT, **changes).stdout.split())


@pytest.mark.parametrize("text", ["", "false", "0", "no", "gibberish"])
def test_off_the_app_imports_no_module_of_opentelemetry_and_neither_file_that_would(text: str) -> None:
    found = imported(PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY=text)
    assert {name for name in found if name.startswith("opentelemetry")} | (OURS & found) == set()


@without("opentelemetry")
def test_on_it_imports_the_api_and_never_the_sdk_or_an_exporter() -> None:
    found = imported(**ON)
    assert found >= {*OURS, "opentelemetry.trace", "opentelemetry.metrics"}
    assert {name for name in found if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))} == set()


def test_on_without_the_packages_the_app_is_there_and_says_so_once() -> None:
    done = run(HIDE + IMPORT, **ON)
    assert "function_app" in done.stdout
    assert done.stderr.count("OpenTelemetry cannot be used") == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("provider", ["OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER"])
def test_on_with_a_provider_that_is_not_installed_the_app_is_there_without_spans(provider: str) -> None:
    code = "import function_app; from services import telemetry; print(type(telemetry.spans).__name__)"
    done = run(code, **ON, **{provider: "nonsense"})
    assert done.stdout == "Spans\n"
    assert done.stderr.count("OpenTelemetry cannot be used") == 1
