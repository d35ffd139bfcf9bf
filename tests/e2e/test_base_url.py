"""`--base-url`: the same tests against an app that runs already, and which of them stay at home."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.azure.up import BUS_PORT, REDIS_PORT
from tests import ROOT
from tests.e2e.conftest import KEY, KEY_SETTING
from tests.running_lab import Lab, running_lab

ELSEWHERE = ("--base-url", "https://func-example.azurewebsites.net")

pytestmark = pytest.mark.own_lab("it is about --base-url itself")


def run_pytest(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e", *arguments]
    environment = {**os.environ, KEY_SETTING: key}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


COLLECT = """
import contextlib, io, json, sys, pytest
def collected(options):
    class Names:
        def pytest_collection_finish(self, session):
            self.found = [item.originalname for item in session.items]
    names = Names()
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main(["-q", "-p", "no:cacheprovider", "--collect-only", "tests/e2e", *options], plugins=[names])
    assert code == 0
    return names.found
print(json.dumps([collected(options) for options in json.loads(sys.argv[1])]))
"""


def collected(*options: Sequence[str]) -> list[set[str]]:
    """The tests that are left with each of these options, collected by one process: starting it is most of the work."""
    command = [sys.executable, "-c", COLLECT, json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [set(names) for names in json.loads(done.stdout)]


def is_taken(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_an_app_that_wants_a_key_passes_every_test_that_is_not_left_out(keyed_lab: Lab) -> None:
    done = run_pytest("--base-url", keyed_lab.url, "--queue-options", keyed_lab.queue_options, key=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    passed, deselected = re.findall(r"(\d+) passed, (\d+) deselected", done.stdout)[0]
    assert int(passed) > 15
    assert int(deselected) > 15
    assert "skipped" not in done.stdout


def test_an_app_elsewhere_is_spared_what_needs_this_machine_or_its_queue_until_that_is_named() -> None:
    here, elsewhere, named = collected(
        ["--base-url", "http://localhost:7071"], ELSEWHERE, [*ELSEWHERE, "--queue-options", "--namespace sb-example"]
    )
    assert here - named == {"test_a_chunked_body_arrives_empty_and_is_a_400_that_says_so"}
    assert named - elsewhere == {
        "test_a_message_put_on_the_queue_by_hand_is_decided",
        "test_every_command_of_the_walk_through_shows_what_the_readme_says",
    }
    assert elsewhere < named < here


def test_without_an_app_redis_and_service_bus_are_where_the_example_settings_look_for_them(tmp_path: Path) -> None:
    if taken := [port for port in (REDIS_PORT, BUS_PORT) if is_taken(port)]:
        pytest.skip(f"somebody listens on {taken} here")
    values = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    with running_lab(tmp_path, "--without-app") as lab:
        found = json.loads((tmp_path / "up.json").read_text())
        assert set(lab.pids) == {"redis", "bus"}
    assert lab.redis_url == values["REDIS_URL"]
    assert found["service_bus"].split(";")[0].removesuffix(":5672") == values["ServiceBusConnection"].split(";")[0]
