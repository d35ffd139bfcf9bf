"""The files themselves: they build without a word, are formatted, and none lies there unused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.infra.compiler import run
from tests.infra.conftest import SAFE, copy_of_infra

KINDS = ("bicep", "bicepparam")


def lint(compiler: Path, infra: Path, kind: str) -> str:
    """Everything that lint says. Warnings exit with 0, so only silence is clean."""
    done = run(compiler, "lint", "--no-restore", "--pattern", f"**/*.{kind}", cwd=infra)
    return done.stdout + done.stderr


def test_the_command_that_rewrites_the_snapshots_knows_every_safe_file() -> None:
    (patterns,) = re.findall(r"for file in (.*); do", (ROOT / "infra/README.md").read_text())
    found = {file.stem for pattern in patterns.split() for file in (ROOT / "infra").glob(pattern)}
    assert found == set(SAFE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_lints_without_a_word(compiler: Path, tmp_path: Path, kind: str) -> None:
    assert lint(compiler, copy_of_infra(tmp_path), kind) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_formatted(compiler: Path, tmp_path: Path, kind: str) -> None:
    infra = copy_of_infra(tmp_path)
    before = {file: file.read_text() for file in infra.rglob(f"*.{kind}")}
    assert run(compiler, "format", "--pattern", f"**/*.{kind}", cwd=infra).returncode == 0
    assert {file: file.read_text() for file in before} == before


def test_every_module_is_part_of_the_deployment(infra: Path) -> None:
    """A file that nothing imports would be built by nobody."""
    sources = "".join(file.read_text() for file in infra.rglob("*.bicep"))
    used = set(re.findall(r"'(?:modules/)?([a-z-]+\.bicep)'", sources))
    assert used == {file.name for file in (infra / "modules").glob("*.bicep")}


def test_a_classic_tier_s_name_spells_its_sku_and_a_managed_one_is_its_sku() -> None:
    table = json.loads((ROOT / "services/redis_tiers.json").read_text())["tiers"]
    shapes = {
        "classic": r"(Basic|Standard)_C[0-6]|Premium_P[1-5]",
        "managed": r"(Balanced_B|MemoryOptimized_M|ComputeOptimized_X)\d{1,3}",
    }
    assert [name for name, row in table.items() if not re.fullmatch(shapes[row["source"]], name)] == []
