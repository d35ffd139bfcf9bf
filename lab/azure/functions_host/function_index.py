"""The functions that the host serves, of those that the worker told it: names, triggers, routes and settings.

Follows the real host: what is wrong with one function loses that function and stands in `FunctionIndex.errors`; two
names that differ in case only keep the host from starting.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import azure.functions as func

from lab.azure.functions_host.function import Function, HttpFunction, ServiceBusFunction, TimerFunction
from lab.azure.functions_host.timer_schedule import ScheduleError, TimerSchedule
from lab.azure.functions_host.worker.app import MODULE, Declared, LoadedApp, load_app, load_folder
from lab.azure.functions_host.worker.signature import RETURN, is_out
from lab.azure.service_bus_connection import find_connection

SETTING = re.compile(r"%([^%]+)%")
NAME = re.compile(r"(?!host$)[a-z][a-z0-9_-]{0,127}", re.IGNORECASE | re.ASCII)  # Utility.cs of the host
PARAMETER = re.compile(r"[a-z][a-z0-9]{0,127}", re.IGNORECASE | re.ASCII)  # likewise
RESERVED_ROUTES = ("admin", "runtime")  # measured: refused when the route starts with these letters
DEFAULT_CONNECTION = "AzureWebJobsServiceBus"  # the trigger's default, Service Bus trigger reference
WITHOUT_TOPICS = "LAB_WITHOUT_TOPICS"  # set by whoever starts the host beside a Service Bus that has none


class FunctionError(ValueError):
    """This function cannot be served; the message says why."""


class HostStartError(ValueError):
    """The real host would not start with this app, and neither does this one; the message says why."""


@dataclass(frozen=True)
class FunctionIndex:
    """What is served, in order of name. `errors`: function name (or the module's) -> why it is not; `app`: for a
    worker in this process."""

    http: tuple[HttpFunction, ...] = ()
    service_bus: tuple[ServiceBusFunction, ...] = ()
    timers: tuple[TimerFunction, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    app: LoadedApp = field(default_factory=LoadedApp, repr=False)


def index_folder(folder: Path, settings: Mapping[str, str]) -> FunctionIndex:
    """Import `folder`/function_app.py in this process and index its app; what loses the app is the only error."""
    app = load_folder(folder)
    if app.error:
        return FunctionIndex(errors={MODULE: app.error})
    return build_index((loaded.told for loaded in app.functions.values()), settings, app)


def index_app(app: func.FunctionRegister, settings: Mapping[str, str]) -> FunctionIndex:
    """Index an app's functions; `settings` resolve `%Name%` and connections. azure.functions allows it once per app.

    Raises ValueError or RuntimeError for what loses the whole app: two functions of one name, a wrong annotation.
    """
    loaded = load_app(app)
    return build_index((function.told for function in loaded.functions.values()), settings, loaded)


def build_index(
    functions: Iterable[Declared], settings: Mapping[str, str], app: LoadedApp | None = None
) -> FunctionIndex:
    """What of these functions is served. Raises HostStartError."""
    built: list[Function] = []
    errors: dict[str, str] = {}
    declared = sorted(functions, key=lambda function: sort_key(function.name))
    refuse_same_names([function.name for function in declared])
    for function in declared:
        try:
            served = build(function, settings)
            refuse_conflict(served, built)
        except (FunctionError, ScheduleError) as error:
            errors[function.name] = str(error)
            continue
        if disabling := disabled_by(function.name, settings):
            errors[function.name] = f"disabled by the setting {disabling}"
        if isinstance(served, HttpFunction):
            built.append(replace(served, disabled=bool(disabling)))
        elif not disabling:
            built.append(served)
    return FunctionIndex(
        http=tuple(function for function in built if isinstance(function, HttpFunction)),
        service_bus=tuple(function for function in built if isinstance(function, ServiceBusFunction)),
        timers=tuple(function for function in built if isinstance(function, TimerFunction)),
        errors=errors,
        app=app or LoadedApp(),
    )


def sort_key(name: str) -> str:
    """Order of function names: ordinal without case, which .NET compares in upper case."""
    return name.upper()


def refuse_same_names(names: list[str]) -> None:
    """Raises HostStartError for two names that differ in case only; `names` are sorted."""
    for first, second in itertools.pairwise(names):
        if sort_key(first) == sort_key(second):
            raise HostStartError(f"the function names {first!r} and {second!r} differ in case only")


def build(function: Declared, settings: Mapping[str, str]) -> Function:
    """A function from its declaration. Raises FunctionError or ScheduleError."""
    if not NAME.fullmatch(function.name):
        raise FunctionError(f"{function.name!r} is not a valid function name: a letter, then letters, digits, _ and -")
    refuse_parameters(function.bindings)
    triggers = [binding for binding in function.bindings if binding["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise FunctionError("it needs exactly one trigger")
    trigger = triggers[0]
    refuse_other_bindings(function.bindings, trigger)
    if trigger["type"] == "httpTrigger":
        return build_http(function.name, trigger)
    resolved = {key: resolve(value, settings) for key, value in trigger.items()}
    if trigger["type"] == "serviceBusTrigger":
        return build_service_bus(function.name, resolved, settings)
    if trigger["type"] == "timerTrigger":
        return build_timer(function.name, resolved)
    raise FunctionError(f"the lab's host does not serve a {trigger['type']}")


def disabled_by(name: str, settings: Mapping[str, str]) -> str:
    """The setting AzureWebJobs.NAME.Disabled if it switches the function off, else an empty text."""
    wanted = f"azurewebjobs.{name}.disabled".lower()
    for setting, value in settings.items():
        if setting.lower().replace("__", ".") == wanted and value.strip().lower() in ("true", "1"):
            return setting
    return ""


def refuse_parameters(bindings: Iterable[Mapping[str, Any]]) -> None:
    """Raises FunctionError for a parameter whose name the host refuses."""
    for binding in bindings:
        if binding["name"] != RETURN and not PARAMETER.fullmatch(str(binding["name"])):
            raise FunctionError(f"its parameter {binding['name']!r} must be letters and digits, a letter first")


def refuse_other_bindings(bindings: Iterable[Mapping[str, Any]], trigger: Mapping[str, Any]) -> None:
    """Raises FunctionError for any binding but the trigger and an HTTP function's `$return`."""
    for binding in bindings:
        is_response = (binding["type"], binding["name"]) == ("http", RETURN)
        if binding is not trigger and not is_response:
            way = "output" if is_out(binding) else "input"
            raise FunctionError(
                f"the lab's host has no {binding['type']} {way} binding ({binding['name']}): use the SDK"
            )


def resolve(value: Any, settings: Mapping[str, str]) -> Any:
    """A binding's value with its `%Name%` replaced. Raises FunctionError if such a setting is missing."""
    if not isinstance(value, str):
        return value

    def setting(found: re.Match[str]) -> str:
        if not settings.get(found[1]):
            raise FunctionError(f"'%{found[1]}%' does not resolve to a value: set the app setting {found[1]}")
        return settings[found[1]]

    return SETTING.sub(setting, value)


def build_http(name: str, trigger: Mapping[str, Any]) -> HttpFunction:
    """An HTTP function. Raises FunctionError."""
    route = str(trigger.get("route") or "")
    route = route if route.strip() else name
    if route.strip("/").lower().startswith(RESERVED_ROUTES):
        raise FunctionError(f"the route {route!r} conflicts with the host's own routes (admin, runtime)")
    methods = trigger.get("methods")
    return HttpFunction(
        name,
        route=route,
        methods=None if methods is None else frozenset(method.upper() for method in methods),
        auth_level=str(trigger.get("authLevel") or "FUNCTION").upper(),
    )


def build_timer(name: str, trigger: Mapping[str, Any]) -> TimerFunction:
    """A timer function. Raises ScheduleError."""
    TimerSchedule.parse(str(trigger["schedule"]))
    at_start = str(trigger.get("runOnStartup", "")).lower() == "true"
    return TimerFunction(name, schedule=str(trigger["schedule"]), run_on_startup=at_start)


def build_service_bus(name: str, trigger: Mapping[str, Any], settings: Mapping[str, str]) -> ServiceBusFunction:
    """A Service Bus function. Raises FunctionError, also if its connection is not among the settings."""
    if str(trigger.get("isSessionsEnabled", "")).lower() == "true" or str(trigger.get("cardinality", "")) == "MANY":
        raise FunctionError("the lab's host takes neither sessions nor batches (cardinality many)")
    if trigger.get("topicName") and settings.get(WITHOUT_TOPICS):
        raise FunctionError("the lab's Service Bus has no topics: name a queue, or use a real one (--service-bus)")
    prefix = str(trigger.get("connection") or DEFAULT_CONNECTION)
    connection = find_connection(prefix, settings)
    if connection is None:
        raise FunctionError(f"the Service Bus connection is missing: set {prefix} or {prefix}__fullyQualifiedNamespace")
    return ServiceBusFunction(
        name,
        connection=connection,
        queue=str(trigger.get("queueName") or ""),
        topic=str(trigger.get("topicName") or ""),
        subscription=str(trigger.get("subscriptionName") or ""),
    )


def refuse_conflict(function: Function, built: Iterable[Function]) -> None:
    """Raises FunctionError if a function before it in order of name has its route and one of its methods."""
    if not isinstance(function, HttpFunction):
        return
    for other in built:
        if isinstance(other, HttpFunction) and function.conflicts_with(other):
            raise FunctionError(f"its route {function.route!r} conflicts with that of the function {other.name}")
