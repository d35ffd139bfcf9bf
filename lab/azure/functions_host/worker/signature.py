"""What the Python worker demands of a function's parameters and annotations.

One refused function loses the whole app. Source: the worker's `functions.py`, and `azure-functions-runtime`.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func

from lab.azure.functions_host.worker.generic_binding import GenericBinding
from lab.azure.functions_host.worker.service_bus_binding import ServiceBusBinding

RETURN = "$return"
NOT_GENERIC = (typing.Union, types.UnionType, tuple, typing.ClassVar, collections.abc.Callable)  # to its typing_inspect


class FunctionLoadError(RuntimeError):
    """The worker cannot load this function, and with it none of the app's."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot load the {name} function: {reason}")


@dataclass(frozen=True)
class Signature:
    """How a function is called. `inputs`: parameter -> the converter's binding name; `returns`: that of its result."""

    inputs: Mapping[str, str]
    wants_context: bool
    returns: str | None
    return_type: Any


def converter(binding: str) -> Any:
    """The converter of azure.functions for a binding's type; the generic one if it has none."""
    if binding == "serviceBusTrigger":
        return ServiceBusBinding
    return func.get_binding_registry().get(binding) or GenericBinding


def implicit(binding: str) -> bool:
    """True if a function with this binding may return a value without `$return`."""
    found = converter(binding)
    if found is GenericBinding:
        return binding != "durableClient"
    return bool(getattr(found, "has_implicit_output", lambda: False)())


def is_generic(annotation: Any) -> bool:
    """As the worker's typing_inspect sees it: `List[x]` is, `list[x]`, unions and tuples are not."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, typing.Generic)
    origin = typing.get_origin(annotation)
    return origin is not None and not isinstance(annotation, types.GenericAlias) and origin not in NOT_GENERIC


def read_signature(name: str, call: Callable[..., Any], bindings: Iterable[Mapping[str, Any]]) -> Signature:
    """Raises FunctionLoadError, or NameError and TypeError for annotations that cannot be resolved."""
    parameters = set(inspect.signature(call).parameters)
    annotations = typing.get_type_hints(call)
    bound = {str(binding["name"]): binding for binding in bindings if binding["name"] != RETURN}
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.remove("context")
        refuse_context(name, annotations)
    refuse_names(name, parameters, set(bound))
    inputs = {key: check_parameter(name, binding, annotations) for key, binding in bound.items()}
    returns, return_type = read_return(name, bindings, annotations)
    inputs = {key: kind for key, kind in inputs.items() if not is_out(bound[key])}
    return Signature(inputs, wants_context, returns, return_type)


def is_out(binding: Mapping[str, Any]) -> bool:
    return str(binding["direction"]).upper() == "OUT"


def refuse_context(name: str, annotations: Mapping[str, Any]) -> None:
    """`context` may be annotated with func.Context only. Raises FunctionLoadError."""
    annotation = annotations.get("context")
    if "context" in annotations and (not isinstance(annotation, type) or annotation.__name__ != "Context"):
        reason = f'the "context" parameter is expected to be of type azure.functions.Context, got {annotation!r}'
        raise FunctionLoadError(name, reason)


def refuse_names(name: str, parameters: set[str], bound: set[str]) -> None:
    """Parameters and bindings are the same names. Raises FunctionLoadError."""
    if surplus := sorted(parameters - bound):
        raise FunctionLoadError(name, f"these parameters are no binding's: {', '.join(surplus)}")
    if missing := sorted(bound - parameters):
        raise FunctionLoadError(name, f"these bindings have no parameter: {', '.join(missing)}")


def check_parameter(name: str, binding: Mapping[str, Any], annotations: Mapping[str, Any]) -> str:
    """The converter's binding name for a parameter. Raises FunctionLoadError if its annotation does not fit it."""
    parameter, kind = str(binding["name"]), str(binding["type"])
    if parameter not in annotations:
        return kind
    annotation = annotations[parameter]
    declared_out = annotated_out(annotation)
    python_type = out_type(name, parameter, annotation) if declared_out else annotation
    if not isinstance(python_type, type) and not is_generic(python_type):
        raise FunctionLoadError(name, f"binding {parameter} has invalid non-type annotation {annotation!r}")
    if declared_out != is_out(binding):
        raise FunctionLoadError(name, f"binding {parameter} and its annotation {annotation!r} disagree on Out")
    if python_type in (str, bytes) and not implicit(kind):
        kind = GenericBinding.NAME
    check = "check_output_type_annotation" if declared_out else "check_input_type_annotation"
    if not getattr(converter(kind), check)(python_type):
        shown = getattr(python_type, "__name__", python_type)
        raise FunctionLoadError(name, f"{parameter!r} is a {binding['type']}, which cannot be a {shown!r}")
    return kind


def annotated_out(annotation: Any) -> bool:
    """True for func.Out and func.Out[x]."""
    origin = typing.get_origin(annotation) if is_generic(annotation) else annotation
    chosen = annotation if origin is None else origin
    return isinstance(chosen, type) and chosen.__name__ == "Out"


def out_type(name: str, parameter: str, annotation: Any) -> Any:
    """The x of func.Out[x]. Raises FunctionLoadError."""
    arguments = typing.get_args(annotation)
    if len(arguments) != 1:
        raise FunctionLoadError(name, f"binding {parameter} has invalid Out annotation {annotation!r}")
    return arguments[0]


def read_return(
    name: str, bindings: Iterable[Mapping[str, Any]], annotations: Mapping[str, Any]
) -> tuple[str | None, Any]:
    """The binding name of the result and its annotation. Raises FunctionLoadError."""
    explicit = next((str(binding["type"]) for binding in bindings if binding["name"] == RETURN), None)
    if explicit is None:
        kind = next((str(binding["type"]) for binding in reversed(list(bindings)) if implicit(binding["type"])), None)
        return kind, annotations.get("return")
    if "return" not in annotations:
        return explicit, None
    annotation = annotations["return"]
    if not isinstance(annotation, type):
        raise FunctionLoadError(name, f"has invalid non-type return annotation {annotation!r}")
    if not converter(explicit).check_output_type_annotation(annotation):
        shown = annotation.__name__
        raise FunctionLoadError(name, f"its return annotation {shown!r} does not match the binding {explicit!r}")
    return explicit, annotation
