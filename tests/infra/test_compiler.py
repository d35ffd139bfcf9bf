"""Whether there is a compiler. Without one this is the only test of the folder: skipped, or failed if REQUIRE_BICEP."""

from __future__ import annotations

from pathlib import Path

from tests.infra.compiler import run


def test_the_compiler_that_the_other_tests_run_tells_its_version(compiler: Path, tmp_path: Path) -> None:
    assert run(compiler, "--version", cwd=tmp_path).stdout.startswith("Bicep CLI version ")
