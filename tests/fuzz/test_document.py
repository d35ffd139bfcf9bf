"""Schemathesis over the app's own OpenAPI document: what it promises is what is answered, whatever is sent.

It tests every operation but the one that the document came from.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.fuzz.conftest import KEY, REQUESTS
from tests.running_lab import Lab

CONFIG = ROOT / "tests/fuzz/schemathesis.toml"
EXAMPLES = max(10, REQUESTS // 100)  # per operation and phase: so many cases, however long they take
PATIENCE_S = 120 + REQUESTS // 20


@pytest.mark.timeout(PATIENCE_S + 20)
def test_every_check_of_schemathesis_passes_and_no_refused_request_writes(lab: Lab, tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    words: list[str | Path] = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run"]
    words += [f"{lab.url}/api/openapi.json", "--header", f"x-functions-key: {KEY}", "--max-examples", str(EXAMPLES)]
    words += ["--checks", "all", "--exclude-checks", "unsupported_method", "--continue-on-failure", "--no-color"]
    words += ["--generation-database", "none", "--seed", "1"]
    ours = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "FUZZ_KEY": KEY, "FUZZ_URL": lab.url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, **ours, "FUZZ_REDIS_URL": lab.redis_url, "FUZZ_REFUSED": str(refused)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(refused.read_text()) > 100, done.stdout
