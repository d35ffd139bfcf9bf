"""Run by a Python 3.13 or newer that has `azure-functions-runtime`, Microsoft's worker as a library: its verdicts.

`library_worker.py FOLDER...` prints a JSON object, folder -> "OK n" or "FAIL reason". It needs nothing of this project.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

from azure_functions_runtime.bindings import meta  # type: ignore[import-not-found]
from azure_functions_runtime.functions import Registry  # type: ignore[import-not-found]
from azure_functions_runtime.loader import index_function_app  # type: ignore[import-not-found]

PROTOS = SimpleNamespace(BindingInfo=SimpleNamespace(out=1, inout=2, undefined=0))


def verdict(folder: str) -> str:
    sys.modules.pop("function_app", None)
    sys.path_importer_cache.clear()
    sys.path.insert(0, folder)
    try:
        registry, functions = Registry(), index_function_app(f"{folder}/function_app.py")
        for function in functions:
            registry.add_indexed_function(function, PROTOS)
    except BaseException as error:  # noqa: BLE001 - whatever an app raises is the verdict
        return f"FAIL {type(error).__name__} {error}"
    else:
        return f"OK {len(functions)}"
    finally:
        sys.path.remove(folder)


if __name__ == "__main__":
    meta.load_binding_registry()
    sys.stdout.write(json.dumps({folder: verdict(folder) for folder in sys.argv[1:]}))
