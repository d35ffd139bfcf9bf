"""services/redis_session as others lift it: a wheel alone in an empty environment, or a copy in an app of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from lab.azure.redis_server import RedisServer
from tests import ROOT
from tests.plain_pytest import without

FOLDER = ROOT / "services/redis_session"
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)

pytestmark = [pytest.mark.timeout(300), without("uv", "hatchling")]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an empty environment in which only the folder's wheel is installed, with what the wheel asks for."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "pip wheel --quiet --no-deps --no-build-isolation --wheel-dir ."
    run(sys.executable, "-m", *build.split(), FOLDER, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "empty", symlinks=True)
    interpreter = folder / "empty/bin/python"
    lock = ROOT / "requirements.lock"
    install = "uv pip install --quiet --python"
    run(sys.executable, "-m", *install.split(), interpreter, "--constraint", lock, wheel, cwd=folder)
    return interpreter


def test_the_lines_of_its_readme_run_with_the_wheel_alone(
    python: Path, shared_redis: RedisServer, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "example.py").write_text(EXAMPLE)
    printed = run(python, "example.py", cwd=tmp_path, REDIS_URL=redis_url)
    assert sorted(map(int, re.findall(r"\d+", printed))) == list(range(1, 101))


def test_the_wheel_brings_nothing_but_redis_py_with_hiredis(python: Path, tmp_path: Path) -> None:
    names = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    assert run(python, "-c", names, cwd=tmp_path).split() == ["hiredis", "multiplexed-redis-session", "redis"]


def test_a_copy_works_in_an_app_that_has_services_of_its_own(python: Path, redis_url: str, tmp_path: Path) -> None:
    copy = tmp_path / "services/sessions"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "services/__init__.py").touch()
    (tmp_path / "example.py").write_text(EXAMPLE.replace("from redis_session", "from services.sessions"))
    assert "100" in run(python, "example.py", cwd=tmp_path, REDIS_URL=redis_url)
