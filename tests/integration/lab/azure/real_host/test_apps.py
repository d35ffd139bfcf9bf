"""Half of the small apps given to the real worker's indexer, and to the whole real host, given to the lab's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.azure.functions_host.worker.app import load_folder
from tests.integration.lab.azure.real_host.hosts import KEY, host
from tests.integration.lab.azure.real_host.recorded_cases import RECORDED, judge, lines

APPS = {case["name"]: case for case in lines("apps.jsonl")}
INDEXED = [case for case in APPS.values() if case["worker_indexer"]]
SERVED = {name: case for name, case in APPS.items() if case["real_host"]}
ANSWER = re.compile(r"(\S+)=(\d{3})\[(.*?)\](?= /|$)", re.DOTALL)
AT_ONCE = re.compile(r"(\d{3}):[\d.]+")  # statuses of eight calls of a function that takes a second
SETTINGS = {
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=x;"
    "UseDevelopmentEmulator=true",
    "Q9NAME": "q9",
    "AzureWebJobs.x.Disabled": "true",  # of the app `disabled` alone
}


def write(case: dict[str, Any], folder: Path) -> None:
    folder.mkdir()
    (folder / "function_app.py").write_text(case["function_app.py"], encoding="utf-8")
    own = case["host.json"]
    (folder / "host.json").write_bytes(own.encode() if own else (RECORDED / "host.json").read_bytes())


@pytest.mark.usefixtures("own_function_app")
def test_an_app_is_indexed_as_the_real_worker_does(tmp_path: Path) -> None:
    differences = {}
    for case in INDEXED:
        ours = indexed(case, tmp_path / case["name"])
        if verdict(ours) != verdict(case["worker_indexer"]):
            differences[case["name"]] = f"{case['worker_indexer']!r}, here {ours!r}"
    judge("indexed", differences, {case["name"] for case in INDEXED})


@pytest.mark.usefixtures("own_function_app")
def test_an_app_is_indexed_as_the_published_library_worker_does(tmp_path: Path) -> None:
    python = library_worker()
    if python is None:
        pytest.skip("no Python here has azure-functions-runtime, which wants 3.13 or newer")
    ours = {name: indexed(case, tmp_path / name) for name, case in APPS.items()}
    script = [python, str(Path(__file__).with_name("library_worker.py"))]
    done = subprocess.run([*script, *(str(tmp_path / name) for name in APPS)], capture_output=True, check=True)
    theirs = {Path(folder).name: told for folder, told in json.loads(done.stdout.splitlines()[-1]).items()}
    differences = {
        name: f"{told!r}, here {ours[name]!r}" for name, told in theirs.items() if verdict(told) != verdict(ours[name])
    }
    judge("library", differences, set(APPS))


def library_worker() -> str | None:
    """A Python that has Microsoft's worker as a library; LIBRARY_WORKER_PYTHON names one that is not on the path."""
    known = [os.environ.get("LIBRARY_WORKER_PYTHON"), sys.executable, *map(shutil.which, ("python3.13", "python3.14"))]
    for python in filter(None, known):
        if not subprocess.run([python, "-c", "import azure_functions_runtime"], capture_output=True).returncode:
            return python
    return None


def indexed(case: dict[str, Any], folder: Path) -> str:
    """OK and how many functions, or FAIL and the reason."""
    write(case, folder)
    sys.modules.pop("function_app", None)
    sys.path_importer_cache.clear()
    app = load_folder(folder)
    return f"FAIL {app.error}" if app.error else f"OK {len(app.functions)}"


def verdict(told: str) -> list[str]:
    """OK and how many functions, or FAIL alone: the words are each one's own."""
    return told.split()[:2] if told.startswith("OK") else ["FAIL"]


def test_an_app_is_served_as_the_real_host_does(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as hosts:
        found = hosts.map(lambda name: served(SERVED[name], tmp_path / name), SERVED)
        differences = {name: difference for name, difference in zip(SERVED, found, strict=True) if difference}
    judge("apps", differences, set(SERVED))


def served(case: dict[str, Any], folder: Path) -> str:
    """How the lab's answers differ from the recorded ones; empty if they do not."""
    write(case, folder)
    settings = {n: v for n, v in SETTINGS.items() if n != "AzureWebJobs.x.Disabled" or case["name"] == "disabled"}
    recorded = case["real_host"]["answers"]
    with host(folder, settings) as running:
        if statuses := AT_ONCE.findall(recorded):
            given = asyncio.run(eight_at_once(running.port))
            return "" if given == Counter(statuses) else f"{statuses}, here {given}"
        for path, status, body in ANSWER.findall(recorded):
            told = ask(running.port, path)
            if told[0] != status or (told[1] != body and "<!DOCTYPE" not in body):
                return f"{path}: {status} {body!r}, here {told} {running.child.tail()[-1:]}"
    return ""


def ask(port: int, path: str) -> tuple[str, str]:
    """Status and body of an answer; 000 if nothing listens."""
    if not port:
        return "000", ""
    answer = httpx.get(f"http://127.0.0.1:{port}{path}", headers={"x-functions-key": KEY}, timeout=60)
    return str(answer.status_code), answer.text[:60].strip()


async def eight_at_once(port: int) -> Counter[str]:
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(*(client.get(f"http://127.0.0.1:{port}/api/slow") for _ in range(8)))
    return Counter(str(answer.status_code) for answer in answers)
