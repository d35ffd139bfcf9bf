"""What is installed: the app's pins are those of the lock, and the lock names versions only."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
APP = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
LOCKED = set(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE))


@pytest.mark.parametrize("requirement", APP, ids=str)
def test_each_requirement_of_the_app_is_pinned_to_the_version_of_the_lock(requirement: Requirement) -> None:
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    assert (requirement.name, pin.version) in LOCKED


def test_everything_in_a_group_is_in_the_lock() -> None:
    named = {Requirement(entry).name for group in GROUPS.values() for entry in group if isinstance(entry, str)}
    assert {name.lower().replace("_", "-") for name in named} <= {name for name, _ in LOCKED}


def test_the_lock_names_no_address() -> None:
    assert not re.search(r"https?:|--index|--find-links|@ ", LOCK)


def test_locust_is_pinned_and_stays_out_of_the_tests_own_environment() -> None:
    assert any(re.fullmatch(r"locust==\d+\.\d+\.\d+", entry) for entry in GROUPS["load"])
    assert not any("locust" in str(entry) for entry in GROUPS["dev"])
