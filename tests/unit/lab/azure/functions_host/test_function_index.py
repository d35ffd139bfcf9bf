"""Indexing: what loses one function, and what loses the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.azure.functions_host import FunctionIndex
from lab.azure.functions_host.function_index import index_folder
from tests.plain_pytest import without

pytestmark = pytest.mark.usefixtures("own_function_app")

SETTINGS = {
    "ORDERS_QUEUE": "orders",
    "Bus": "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=s3cret",
    "Named__fullyQualifiedNamespace": "x.servicebus.windows.net",
    "EVERY": "0 0 * * * *",
    "AzureWebJobs.off.Disabled": "true",
}
GOOD = """
import azure.functions as f

app = f.FunctionApp(http_auth_level=f.AuthLevel.FUNCTION)

@app.route("good", methods=["GET"])
def good(req: f.HttpRequest) -> str: ...

"""


def index(folder: Path, source: str) -> FunctionIndex:
    """Of an app in a file."""
    (folder / "function_app.py").write_text(source)
    return index_folder(folder, SETTINGS)


def bus_function(name: str = "bad", queue: str = "orders", connection: str = "Bus", **options: Any) -> str:
    given = {"queue_name": queue, "connection": connection, **options}
    return f"@app.service_bus_queue_trigger('m', **{given})\ndef {name}(m: f.ServiceBusMessage) -> None: ..."


def http_function(name: str, route: str, methods: list[str] | None = None) -> str:
    decorators = f"@app.function_name({name!r})\n@app.route({route!r}, methods={methods})\n"
    return decorators + "def x(req: f.HttpRequest) -> str: ...\n"


def timer_function(schedule: str) -> str:
    return (
        f"@app.timer_trigger(schedule={schedule!r}, arg_name='t', run_on_startup=True)\ndef bad(t: f.TimerRequest): ..."
    )


def test_a_trigger_gets_its_settings_from_the_names_in_percent_signs_and_its_connection_never_shows_its_key(
    tmp_path: Path,
) -> None:
    sources = [bus_function("keyed", "%ORDERS_QUEUE%"), bus_function("named", connection="Named")]
    found = index(tmp_path, GOOD + "\n".join(sources))
    keyed, named = found.service_bus
    assert (keyed.name, keyed.entity, named.connection.namespace) == ("keyed", "orders", "x.servicebus.windows.net")
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (bus_function(queue="%NONE%"), "'%NONE%' does not resolve to a value: set the app setting NONE"),
        (
            bus_function(connection="No"),
            "the Service Bus connection is missing: set No or No__fullyQualifiedNamespace",
        ),
        (bus_function(cardinality="many"), "the lab's host takes neither sessions nor batches (cardinality many)"),
        (
            bus_function(is_sessions_enabled=True),
            "the lab's host takes neither sessions nor batches (cardinality many)",
        ),
        (bus_function("off"), "disabled by the setting AzureWebJobs.off.Disabled"),
        (
            "@app.route('bad')\n@app.service_bus_queue_output('out', queue_name='q', connection='Bus')\n"
            "def bad(req: f.HttpRequest, out: f.Out[str]) -> str: ...",
            "the lab's host has no serviceBus output binding (out): use the SDK",
        ),
        (
            "@app.queue_trigger('item', queue_name='items', connection='Storage')\ndef bad(item: f.QueueMessage): ...",
            "the lab's host does not serve a queueTrigger",
        ),
        (
            "@app.route('bad', trigger_arg_name='the_req')\ndef bad(the_req: f.HttpRequest) -> str: ...",
            "its parameter 'the_req' must be letters and digits, a letter first",
        ),
        *(
            (
                http_function(name, "x"),
                f"{name!r} is not a valid function name: a letter, then letters, digits, _ and -",
            )
            for name in ("_x", "a b!", "1abc", "host", "HOST", "", "x" * 129)
        ),
    ],
)
def test_what_is_wrong_with_a_function_loses_it_alone(tmp_path: Path, source: str, reason: str) -> None:
    found = index(tmp_path, GOOD + source)
    assert ([function.name for function in found.http], found.service_bus) == (["good"], ())
    assert list(found.errors.values()) == [reason]


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
def test_a_timer_wants_a_schedule_that_can_be_read(tmp_path: Path, schedule: str, reason: str) -> None:
    found = index(tmp_path, GOOD + timer_function(schedule))
    assert reason in found.errors.get("bad", "")
    assert [timer.run_on_startup for timer in found.timers] == ([] if reason else [True])


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
    tmp_path: Path, first: tuple[str, str, list[str] | None], second: tuple[str, str, list[str] | None], lost: list[str]
) -> None:
    assert list(index(tmp_path, GOOD + http_function(*first) + http_function(*second)).errors) == lost


RETRIED = GOOD + "@app.route('x')\n@app.retry({})\ndef x(req: f.HttpRequest) -> str: ..."


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero (function_app.py:1)"),
        ("import sys; sys.exit('no')", "SystemExit: no (function_app.py:1)"),
        ("def", "SyntaxError"),
        ("x = 1", "ValueError: function_app.py must hold exactly one FunctionApp, found 0"),
        (f"{GOOD}\nb = f.FunctionApp()", "ValueError: function_app.py must hold exactly one FunctionApp, found 2"),
        (RETRIED.format("strategy='fixed_delay', max_retry_count='2', delay_interval='00:00:01'"), None),
        (RETRIED.format("strategy='fixed_delay', max_retry_count='many', delay_interval='00:00:01'"), "ValueError"),
        (RETRIED.format("strategy='fixed_delay', max_retry_count='2', delay_interval='5'"), "ValueError"),
        (
            RETRIED.format("strategy='exponential_backoff', max_retry_count='2', minimum_interval='00:00:01'"),
            "TypeError",
        ),
    ],
)
def test_an_app_that_cannot_be_imported_or_retried_leaves_an_empty_index_with_the_reason(
    tmp_path: Path, source: str, reason: str | None
) -> None:
    found = index(tmp_path, source)
    assert len(found.http) == (2 if reason is None else 0)
    assert found.errors.get("function_app", "").startswith(reason or "")
    assert bool(found.errors) is bool(reason)


def test_a_folder_without_an_app_is_reported(tmp_path: Path) -> None:
    assert "there is no function_app.py" in index_folder(tmp_path, {}).errors["function_app"]
