"""Indexing: what loses one function, and what loses the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from lab.azure.functions_host import FunctionIndex
from lab.azure.functions_host.function_index import HostStartError, index_folder
from lab.azure.functions_host.router import Router
from tests.plain_pytest import without
from tests.unit.lab.azure.functions_host.apps import http_app, index, named

pytestmark = pytest.mark.usefixtures("own_function_app")

SETTINGS = {"ORDERS_QUEUE": "orders", "Bus": "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=s3cret"}


def bus_app(**options: Any) -> func.FunctionApp:
    app = http_app(("alive", "alive", ["GET"]))
    trigger: dict[str, Any] = {"arg_name": "message", "queue_name": "%ORDERS_QUEUE%", "connection": "Bus", **options}

    async def fulfil(message: func.ServiceBusMessage) -> None: ...

    named(app, "fulfil", fulfil, app.service_bus_queue_trigger(**trigger))
    return app


def test_a_trigger_gets_its_settings_from_the_names_in_percent_signs() -> None:
    (function,) = index(bus_app(), SETTINGS).service_bus
    assert (function.name, function.entity) == ("fulfil", "orders")


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("ORDERS_QUEUE", "'%ORDERS_QUEUE%' does not resolve to a value: set the app setting ORDERS_QUEUE"),
        ("Bus", "the Service Bus connection is missing: set Bus or Bus__fullyQualifiedNamespace"),
    ],
)
def test_a_missing_setting_loses_its_function_alone(missing: str, reason: str) -> None:
    found = index(bus_app(), {name: value for name, value in SETTINGS.items() if name != missing})
    assert [function.name for function in found.http] == ["alive"]
    assert (found.service_bus, found.errors) == ((), {"fulfil": reason})


def test_a_namespace_is_a_connection_too() -> None:
    settings = {"ORDERS_QUEUE": "orders", "Bus__fullyQualifiedNamespace": "x.servicebus.windows.net"}
    (function,) = index(bus_app(), settings).service_bus
    assert function.connection.namespace == "x.servicebus.windows.net"


def test_a_connection_never_shows_its_key() -> None:
    assert "s3cret" not in repr(index(bus_app(), SETTINGS))


@pytest.mark.parametrize("options", [{"cardinality": "many"}, {"is_sessions_enabled": True}])
def test_batches_and_sessions_are_refused_aloud(options: dict[str, Any]) -> None:
    assert "neither sessions nor batches" in index(bus_app(**options), SETTINGS).errors["fulfil"]


def test_an_output_binding_is_refused_aloud() -> None:
    app = http_app(("alive", "alive", ["GET"]))

    @app.route(route="send", methods=["POST"])
    @app.service_bus_queue_output(arg_name="out", queue_name="orders", connection="Bus")
    def send(req: func.HttpRequest, out: func.Out[str]) -> str:
        return ""

    found = index(app, SETTINGS)
    assert found.errors == {"send": "the lab's host has no serviceBus output binding (out): use the SDK"}


def test_another_trigger_is_refused_aloud() -> None:
    app = func.FunctionApp()

    @app.queue_trigger(queue_name="items", arg_name="item", connection="Storage")
    def take(item: func.QueueMessage) -> None: ...

    assert index(app).errors == {"take": "the lab's host does not serve a queueTrigger"}


@without("croniter")
@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("0 */5 * * * *", ""),
        ("%EVERY%", ""),
        ("00:05:00", ""),
        ("0 30 9-17/2 1,15 Jan-Mar Mon,wed", ""),
        ("* * *", "must have six fields"),
        *((refused, "cannot be read") for refused in ("0 0 25 * * *", "0 0 9 ? * *", "0 0 9 * * 7", "0 0 9 * * 1-7")),
        *((refused, "cannot be read") for refused in ("0 0 9 L * *", "0 0 9 * * MON#1", "00:60:00")),
    ],
)
def test_a_timer_wants_a_schedule_that_can_be_read(schedule: str, reason: str) -> None:
    app = func.FunctionApp()

    @app.timer_trigger(schedule=schedule, arg_name="timer", run_on_startup=True)
    def tick(timer: func.TimerRequest) -> None: ...

    found = index(app, {"EVERY": "0 0 * * * *"})
    assert reason in found.errors.get("tick", "")
    assert [timer.run_on_startup for timer in found.timers] == ([] if reason else [True])


@pytest.mark.parametrize("name", ["_x", "a b!", "1abc", "host", "HOST", "", "x" * 129])
def test_a_name_that_the_host_refuses_loses_its_function_alone(name: str) -> None:
    found = index(http_app((name, "bad", ["GET"]), ("good", "good", ["GET"])))
    assert ([function.name for function in found.http], list(found.errors)) == (["good"], [name])


def test_a_parameter_that_the_host_refuses_loses_its_function_alone() -> None:
    app = http_app(("good", "good", ["GET"]))

    @app.route(route="bad", trigger_arg_name="the_req")
    def bad(the_req: func.HttpRequest) -> str:
        return ""

    assert list(index(app).errors) == ["bad"]


def test_a_function_that_a_setting_disables_is_not_served() -> None:
    found = index(bus_app(), {**SETTINGS, "AzureWebJobs.fulfil.Disabled": "true"})
    assert (found.service_bus, found.errors) == ((), {"fulfil": "disabled by the setting AzureWebJobs.fulfil.Disabled"})


@pytest.mark.parametrize(
    ("first", "second", "lost"),
    [
        (("a", "x/{id}", ["GET", "PUT"]), ("b", "X/{id}", ["PUT"]), ["b"]),
        (("b", "x", ["PUT"]), ("a", "x", ["PUT"]), ["b"]),  # the later name, whatever the order of declaration
        (("a", "x", None), ("b", "x", ["PUT"]), ["b"]),
        (("a", "x/", ["GET"]), ("b", "x", ["GET"]), ["b"]),
        (("a", "x", ["GET"]), ("b", "x", ["PUT"]), []),
        (("a", "x/{id}", ["GET"]), ("b", "x/{key}", ["GET"]), []),  # another text is another route
    ],
)
def test_of_one_route_and_overlapping_methods_the_later_name_is_in_error(
    first: tuple[str, str, list[str] | None], second: tuple[str, str, list[str] | None], lost: list[str]
) -> None:
    assert list(index(http_app(first, second)).errors) == lost


def test_a_route_that_the_host_refuses_keeps_it_from_starting_and_its_function_is_named() -> None:
    with pytest.raises(HostStartError, match="the function bad has the route"):
        Router(index(http_app(("bad", "~x/y", ["GET"]), ("good", "good", ["GET"]))).http, "")


def write_app(folder: Path, source: str) -> FunctionIndex:
    (folder / "function_app.py").write_text(source)
    return index_folder(folder, {})


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero (function_app.py:1)"),
        ("import sys; sys.exit('no')", "SystemExit: no (function_app.py:1)"),
        ("def", "SyntaxError"),
        ("import not_installed_anywhere", "ModuleNotFoundError"),
        ("x = 1", "exactly one FunctionApp, found 0"),
        ("import azure.functions as f; a = f.FunctionApp(); b = f.FunctionApp()", "exactly one FunctionApp, found 2"),
    ],
)
def test_an_app_that_cannot_be_imported_leaves_an_empty_index_with_the_reason(
    tmp_path: Path, source: str, reason: str
) -> None:
    found = write_app(tmp_path, source)
    assert (found.http, found.service_bus) == ((), ())
    assert reason in found.errors["function_app"]


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("strategy='fixed_delay', max_retry_count='2', delay_interval='00:00:01'", ""),
        ("strategy='fixed_delay', max_retry_count='many', delay_interval='00:00:01'", "ValueError"),
        ("strategy='fixed_delay', max_retry_count='2', delay_interval='5'", "ValueError"),
        ("strategy='exponential_backoff', max_retry_count='2', minimum_interval='00:00:01'", "TypeError"),
    ],
)
def test_a_retry_policy_that_cannot_be_read_loses_the_whole_app(tmp_path: Path, policy: str, reason: str) -> None:
    source = f"import azure.functions as f\napp = f.FunctionApp()\n@app.route('x')\n@app.retry({policy})\n"
    found = write_app(tmp_path, source + "def x(req: f.HttpRequest) -> str: return ''\n")
    assert found.errors.get("function_app", "").startswith(reason)
    assert len(found.http) == (not reason)


def test_a_folder_without_an_app_is_reported(tmp_path: Path) -> None:
    assert "there is no function_app.py" in index_folder(tmp_path, {}).errors["function_app"]
