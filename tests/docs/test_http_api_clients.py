"""docs/http-api.md: both clients place an order and follow it, while Redis is away too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import ROOT
from tests.pages import blocks, page
from tests.running_lab import Lab, running_lab

PAGE = page("http-api.md")
CALLS = {
    "python": "\nimport sys\nwith httpx.Client(base_url=sys.argv[1]) as api:\n"
    "    print(order(api, 'clients', sys.argv[2], 'ada', int(sys.argv[3]))['status'])\n",
    "javascript": "\nconst [base, key, quantity] = process.argv.slice(2);\n"
    "console.log((await order(base, 'clients', key, 'ada', Number(quantity))).status);\n",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """With a drop of ten tickets."""
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        drop = {"stock": 10, "per_customer": 10}
        httpx.put(f"{running.url}/api/drops/clients", json=drop, timeout=20).raise_for_status()
        yield running


def ordered(lab: Lab, folder: Path, language: str, key: str, quantity: int) -> subprocess.CompletedProcess[str]:
    """What the page's client says of an order."""
    (code,) = blocks(PAGE, language)
    program, command = {"python": ("client.py", sys.executable), "javascript": ("client.mjs", "node")}[language]
    (folder / program).write_text(code + CALLS[language])
    words = [command, program, lab.url, f"{language}-{key}", str(quantity)]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


NODE = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js 18 or newer on PATH")
languages = pytest.mark.parametrize("language", ["python", pytest.param("javascript", marks=NODE)])


@languages
def test_an_order_is_followed_to_its_decision(lab: Lab, tmp_path: Path, language: str) -> None:
    done = ordered(lab, tmp_path, language, "one", 1)
    assert (done.returncode, done.stdout.strip()) == (0, "confirmed"), done.stderr


@languages
def test_a_refusal_is_an_error_and_is_not_repeated(lab: Lab, tmp_path: Path, language: str) -> None:
    done = ordered(lab, tmp_path, language, "too-many", 11)
    assert done.returncode != 0
    assert "409" in done.stderr


@languages
def test_the_request_is_repeated_until_redis_is_back(lab: Lab, tmp_path: Path, language: str) -> None:
    command = [sys.executable, "-m", "lab", "break", "redis", "--freeze", "--for", "4", *lab.queue_options.split()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as breaking:
        assert breaking.stdout is not None
        breaking.stdout.readline()
        done = ordered(lab, tmp_path, language, "repeated", 1)
        assert (done.returncode, done.stdout.strip()) == (0, "confirmed"), done.stderr
