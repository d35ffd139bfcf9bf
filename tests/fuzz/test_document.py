"""Schemathesis over the app's own OpenAPI document: what it promises is what is answered, whatever is sent.

It tests every operation but the one that the document came from.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.e2e.conftest import Lab
from tests.fuzz.conftest import KEY, REQUESTS

CONFIG = ROOT / "tests/fuzz/schemathesis.toml"
PER_SECOND = 100  # of the requests of `make fuzz`, for how long this part may take
TIME_S = max(8, REQUESTS // PER_SECOND // 4)


@pytest.mark.timeout(TIME_S + 120)
def test_every_check_of_schemathesis_passes_and_no_refused_request_writes(lab: Lab, tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    words: list[str | Path] = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run"]
    words += [f"{lab.url}/api/openapi.json", "--header", f"x-functions-key: {KEY}", "--max-time", str(TIME_S)]
    words += ["--checks", "all", "--exclude-checks", "unsupported_method", "--continue-on-failure", "--no-color"]
    words += ["--generation-database", "none"]
    ours = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "FUZZ_KEY": KEY, "FUZZ_URL": lab.url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, **ours, "FUZZ_REDIS_URL": lab.redis_url, "FUZZ_REFUSED": str(refused)},
        capture_output=True,
        text=True,
        timeout=TIME_S + 100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(refused.read_text()) > 100, done.stdout
