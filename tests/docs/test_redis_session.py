"""docs/redis-session.md: the files that it says to copy are all that the session needs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import ROOT

PARTS = (ROOT / "docs/redis-session.md").read_text().split("## The parts")[1].split("\n## ")[0]


def test_the_files_of_the_session_import_nothing_else_of_this_project(tmp_path: Path) -> None:
    names = re.findall(r"`(?:services/)?(\w+\.py)`", PARTS)
    (tmp_path / "services").mkdir()
    for name in names:
        shutil.copy(ROOT / "services" / name, tmp_path / "services" / name)
    code = "from services.redis_service import RedisService; print(RedisService('redis://127.0.0.1:6379/0'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.stdout.startswith("<RedisService not connected"), done.stderr
