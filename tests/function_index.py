"""What the Functions host finds in a function_app.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import ROOT

INDEX = """
import json, sys
sys.path.insert(0, sys.argv[2])
scope = {"__name__": "function_app"}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), scope)
told = []
for function in scope["app"].get_functions():
    told.append(json.loads(function.get_function_json()) | {"name": function.get_function_name()})
print(json.dumps(told))
"""


def index_of(function_app: Path) -> dict[str, Any]:
    """Function name -> its bindings, read in a process of its own: `get_functions()` may be called once per process."""
    command = [sys.executable, "-W", "ignore", "-c", INDEX, str(function_app), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    functions = json.loads(done.stdout)
    assert len({function["name"] for function in functions}) == len(functions)
    return {function["name"]: function["bindings"] for function in functions}
