"""`.ci/e2e func` with stand-ins for what it starts: what it ends, and in which order."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests import ROOT

# Named like what it stands in for; it writes its name when it has ended, which takes func the longest. The one for curl
# waits until the others are there to be ended.
STAND_IN = """#!/usr/bin/env bash
name=$(basename "$0")
ended() { [ "$name" != func ] || sleep 1; echo "$name" >>"$ENDED"; exit; }
trap ended INT
case "$name $*" in
  *" install" | "python "*) exit ;;
  "curl "*) until [ "$(cat build/e2e-logs/*.log | grep -c Ready)" = 3 ]; do sleep 0.05; done; exit ;;
esac
echo Ready
while :; do sleep 0.05; done
"""


def test_func_has_ended_before_its_service_bus_is_told_to(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/e2e", tmp_path / ".ci")
    shutil.copy(ROOT / "local.settings.json.example", tmp_path)
    tools = tmp_path / ".venv/bin"
    tools.mkdir(parents=True)
    for name in ("azurite", "curl", "func", "make", "python"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o700)
    ended = tmp_path / "ended"
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "ENDED": str(ended)}
    subprocess.run([tmp_path / ".ci/e2e", "func"], env=environment, check=True, timeout=120)
    assert ended.read_text().split() == ["func", "make", "azurite"]
