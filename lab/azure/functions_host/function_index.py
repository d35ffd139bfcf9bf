"""The functions of an app: names, triggers, routes and settings, read through `azure.functions`' public API.

Follows the real host: what is wrong with one function loses that function, what is wrong with the app loses the whole
app. Must never raise for an app's fault: it stands in `FunctionIndex.errors`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func

from lab.azure.functions_host.function import Function, HttpFunction, ServiceBusFunction
from lab.azure.functions_host.route_template import RouteTemplate, RouteTemplateError
from lab.azure.service_bus_connection import find_connection

SETTING = re.compile(r"%([^%]+)%")
RESERVED_ROUTES = ("admin", "runtime")  # measured: refused when the route starts with these letters
DEFAULT_CONNECTION = "AzureWebJobsServiceBus"  # the trigger's default, Service Bus trigger reference
MODULE = "function_app"


class FunctionError(ValueError):
    """This function cannot be served; the message says why."""


@dataclass(frozen=True)
class FunctionIndex:
    """What an app offers, in order of name. `errors`: function name (or the module's) -> why it is not served."""

    http: tuple[HttpFunction, ...] = ()
    service_bus: tuple[ServiceBusFunction, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)


def index_folder(folder: Path, settings: Mapping[str, str]) -> FunctionIndex:
    """Import `folder`/function_app.py and index its app. An import error leaves an empty index with one error."""
    if not (folder / f"{MODULE}.py").is_file():  # else one from elsewhere on the path would be taken for it
        return FunctionIndex(errors={MODULE: f"there is no {MODULE}.py in {folder}"})
    sys.path.insert(0, str(folder))
    try:
        return index_app(find_app(importlib.import_module(MODULE)), settings)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the app raises, the host stays up
        return FunctionIndex(errors={MODULE: describe(error)})


def describe(error: BaseException) -> str:
    """An app's import error in one line, with where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    return f"{type(error).__name__}: {error}{place}"


def find_app(module: ModuleType) -> func.FunctionApp:
    """The one FunctionApp among a module's names. Raises FunctionError if no name holds one, or more than one does."""
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionApp)]
    if len(apps) != 1:
        raise FunctionError(f"{MODULE}.py must hold exactly one FunctionApp, found {len(apps)}")
    return apps[0]


def index_app(app: func.FunctionApp, settings: Mapping[str, str]) -> FunctionIndex:
    """Index an app's functions; `settings` resolve `%Name%` and connections. azure.functions allows it once per app.

    Raises ValueError for what loses the whole app, such as two functions of one name.
    """
    built: list[Function] = []
    errors: dict[str, str] = {}
    for declared in sorted(app.get_functions(), key=lambda function: sort_key(str(function.get_function_name()))):
        name = str(declared.get_function_name())
        try:
            function = build(name, declared.get_user_function(), declared.get_raw_bindings(), settings)
            refuse_conflict(function, built)
        except (FunctionError, RouteTemplateError) as error:
            errors[name] = str(error)
        else:
            built.append(function)
    return FunctionIndex(
        http=tuple(function for function in built if isinstance(function, HttpFunction)),
        service_bus=tuple(function for function in built if isinstance(function, ServiceBusFunction)),
        errors=errors,
    )


def sort_key(name: str) -> str:
    """Order of function names: ordinal without case, which .NET compares in upper case."""
    return name.upper()


def build(name: str, call: Any, raw_bindings: Iterable[str], settings: Mapping[str, str]) -> Function:
    """A function from its declaration. Raises FunctionError or RouteTemplateError."""
    bindings = [json.loads(binding) for binding in raw_bindings]
    triggers = [binding for binding in bindings if binding["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise FunctionError("it needs exactly one trigger")
    refuse_other_bindings(bindings, triggers[0])
    trigger = {key: resolve(value, settings) for key, value in triggers[0].items()}
    common = call_details(name, call, str(trigger["name"]))
    if trigger["type"] == "httpTrigger":
        return build_http(trigger, common)
    if trigger["type"] == "serviceBusTrigger":
        return build_service_bus(trigger, common, settings)
    raise FunctionError(f"the lab's host does not serve a {trigger['type']}")


def refuse_other_bindings(bindings: Iterable[Mapping[str, Any]], trigger: Mapping[str, Any]) -> None:
    """Raises FunctionError for any binding but the trigger and an HTTP function's `$return`."""
    for binding in bindings:
        is_response = (binding["type"], binding["name"]) == ("http", "$return")
        if binding is not trigger and not is_response:
            raise FunctionError(f"the lab's host has no {binding['type']} binding ({binding['name']}): use the SDK")


def resolve(value: Any, settings: Mapping[str, str]) -> Any:
    """A binding's value with its `%Name%` replaced. Raises FunctionError if such a setting is missing."""
    if not isinstance(value, str):
        return value

    def setting(found: re.Match[str]) -> str:
        if not settings.get(found[1]):
            raise FunctionError(f"'%{found[1]}%' does not resolve to a value: set the app setting {found[1]}")
        return settings[found[1]]

    return SETTING.sub(setting, value)


def call_details(name: str, call: Any, argument: str) -> dict[str, Any]:
    """The fields every function has. Raises FunctionError if its parameters and its trigger do not agree."""
    parameters = set(inspect.signature(call).parameters)
    unknown = parameters - {argument, "context"}
    if argument not in parameters or unknown:
        raise FunctionError(
            f"its parameters must be {argument!r} and, if wanted, 'context'; they are {sorted(parameters)}"
        )
    return {
        "name": name,
        "call": call,
        "argument": argument,
        "is_async": inspect.iscoroutinefunction(call),
        "wants_context": "context" in parameters,
    }


def build_http(trigger: Mapping[str, Any], common: Mapping[str, Any]) -> HttpFunction:
    """An HTTP function. Raises FunctionError or RouteTemplateError."""
    route = (str(trigger.get("route") or "").strip() or str(common["name"])).strip("/")
    if route.lower().startswith(RESERVED_ROUTES):
        raise FunctionError(f"the route {route!r} conflicts with the host's own routes (admin, runtime)")
    methods = trigger.get("methods")
    return HttpFunction(
        **common,
        route=route,
        template=RouteTemplate.parse(route),
        methods=frozenset(method.upper() for method in methods) if methods else None,
        auth_level=str(trigger.get("authLevel") or "FUNCTION").upper(),
    )


def build_service_bus(
    trigger: Mapping[str, Any], common: Mapping[str, Any], settings: Mapping[str, str]
) -> ServiceBusFunction:
    """A Service Bus function. Raises FunctionError, also if its connection is not among the settings."""
    if str(trigger.get("isSessionsEnabled", "")).lower() == "true" or str(trigger.get("cardinality", "")) == "MANY":
        raise FunctionError("the lab's host takes neither sessions nor batches (cardinality many)")
    name = str(trigger.get("connection") or DEFAULT_CONNECTION)
    connection = find_connection(name, settings)
    if connection is None:
        raise FunctionError(f"the Service Bus connection is missing: set {name} or {name}__fullyQualifiedNamespace")
    return ServiceBusFunction(
        **common,
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
