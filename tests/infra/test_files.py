"""The files themselves: they build without a word, are formatted, and none lies there unused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.infra.compiler import run
from tests.infra.conftest import SAFE, UNSAFE, copy_of_infra

KINDS = ("bicep", "bicepparam")


def lint(compiler: Path, infra: Path, kind: str) -> str:
    """Everything that lint says. Warnings exit with 0, so only silence is clean."""
    done = run(compiler, "lint", "--no-restore", "--pattern", f"**/*.{kind}", cwd=infra)
    return done.stdout + done.stderr


def plant(file: Path, good: str, bad: str) -> None:
    """Replace a text that a file holds once."""
    source = file.read_text()
    assert source.count(good) == 1
    file.write_text(source.replace(good, bad))


def test_there_are_files_of_both_kinds_to_look_at() -> None:
    """A pattern that matches nothing is clean, too."""
    assert len(list((ROOT / "infra").rglob("*.bicep"))) >= 10
    assert len(SAFE) >= 3
    assert UNSAFE


def test_the_command_that_rewrites_the_snapshots_knows_every_safe_file() -> None:
    (patterns,) = re.findall(r"for file in (.*); do", (ROOT / "infra/README.md").read_text())
    found = {file.stem for pattern in patterns.split() for file in (ROOT / "infra").glob(pattern)}
    assert found == set(SAFE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_lints_without_a_word(compiler: Path, tmp_path: Path, kind: str) -> None:
    assert lint(compiler, copy_of_infra(tmp_path), kind) == ""


def test_lint_notices_planted_mistakes_even_those_that_exit_with_0(compiler: Path, tmp_path: Path) -> None:
    infra = copy_of_infra(tmp_path)
    (infra / "main.bicep").unlink()  # it would take the time, and say the same of its modules
    plant(infra / "modules/storage.bicep", "allowSharedKeyAccess", "allowSharedKeysAccess")
    plant(infra / "modules/roles.bicep", "var roleIds = {", "var nobodyReads = 1\nvar roleIds = {")
    shown = lint(compiler, infra, "bicep")
    assert "Warning BCP089" in shown
    assert "Error no-unused-vars" in shown


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
