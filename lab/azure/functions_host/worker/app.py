"""Finds an app's functions: imports function_app.py and checks every function by the worker's rules.

One function that the worker refuses loses them all, and `LoadedApp.error` says which.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func

from lab.azure.functions_host.worker.signature import Signature, read_signature

MODULE = "function_app"


@dataclass(frozen=True)
class Declared:
    """What the worker tells the host of a function: its name and its bindings, as in a function.json."""

    name: str
    bindings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Loaded(Declared):
    """A function as the worker calls it."""

    call: Callable[..., Any]
    signature: Signature

    @property
    def is_async(self) -> bool:
        """False runs it in a thread."""
        return inspect.iscoroutinefunction(self.call)

    @property
    def told(self) -> Declared:
        """Without what cannot leave the process."""
        return Declared(self.name, self.bindings)


@dataclass(frozen=True)
class LoadedApp:
    """An app's functions by name; or the `error` that lost them all."""

    functions: Mapping[str, Loaded] = field(default_factory=dict)
    error: str = ""


def load_folder(folder: Path) -> LoadedApp:
    """Import `folder`/function_app.py and load its app. The folder goes first on the import path and stays there."""
    if not (folder / f"{MODULE}.py").is_file():  # another one on the import path would be used instead
        return LoadedApp(error=f"there is no {MODULE}.py in {folder}")
    sys.path.insert(0, str(folder))
    try:
        return load_app(find_app(importlib.import_module(MODULE)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the app raises, the host stays up
        return LoadedApp(error=describe(error))


def describe(error: BaseException) -> str:
    """An app's import error in one line, with where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    return f"{type(error).__name__}: {error}{place}"


def find_app(module: ModuleType) -> func.FunctionRegister:
    """The one app among a module's names. Raises ValueError if no name holds one, or more than one does."""
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if len(apps) != 1:
        raise ValueError(f"{MODULE}.py must hold exactly one FunctionApp, found {len(apps)}")
    return apps[0]


def load_app(app: func.FunctionRegister) -> LoadedApp:
    """Check every function. azure.functions allows it once per app. Raises what the worker would raise."""
    functions: dict[str, Loaded] = {}
    for declared in app.get_functions():
        name, call = declared.get_function_name(), declared.get_user_function()
        if not isinstance(name, str):
            raise TypeError(f"the function name {name!r} is no text")
        inspect.getfile(call)  # as the worker does; raises for functions written in C
        bindings = tuple(json.loads(binding) for binding in declared.get_raw_bindings())
        check_retry(declared.get_settings_dict("retry_policy"))
        functions[name] = Loaded(name, bindings, call, read_signature(name, call, bindings))
    return LoadedApp(functions)


def check_retry(policy: Mapping[str, Any] | None) -> None:
    """Raises ValueError or TypeError for a retry policy that the worker cannot read: with it the whole app is lost."""
    if policy:
        int(policy["max_retry_count"])
        fixed = policy["strategy"] == "fixed_delay"
        for name in ("delay_interval",) if fixed else ("minimum_interval", "maximum_interval"):
            time.strptime(policy.get(name), "%H:%M:%S")  # type: ignore[arg-type]
