"""`--base-url`: the same tests against an app that runs already, and which of them stay at home."""

from __future__ import annotations

import functools
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab.azure.up import BUS_PORT, REDIS_PORT
from tests import ROOT
from tests.e2e.conftest import KEY_SETTING
from tests.running_lab import running_lab

ELSEWHERE = "https://func-example.azurewebsites.net"
KEY = "k3y-of-an-app-elsewhere"

pytestmark = pytest.mark.own_lab("it is about --base-url itself")


def run_pytest(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e", *arguments]
    environment = {**os.environ, KEY_SETTING: key}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@functools.cache
def collected(*arguments: str) -> frozenset[str]:
    done = run_pytest("--collect-only", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    names = re.findall(r"^tests/e2e/test_\w+\.py::(\w+)", done.stdout, re.MULTILINE)
    return frozenset(name.split("[")[0] for name in names)


def is_taken(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_an_app_that_wants_a_key_passes_every_test_that_is_not_left_out(tmp_path: Path) -> None:
    with running_lab(tmp_path, "--key", KEY) as lab:
        done = run_pytest("--base-url", lab.url, "--queue-options", lab.queue_options, key=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    passed, deselected = re.findall(r"(\d+) passed, (\d+) deselected", done.stdout)[0]
    assert int(passed) > 15
    assert int(deselected) > 15
    assert "skipped" not in done.stdout


def test_an_app_elsewhere_is_spared_what_needs_this_machine_or_its_queue() -> None:
    here = collected("--base-url", "http://localhost:7071")
    elsewhere = collected("--base-url", ELSEWHERE)
    assert here - elsewhere == {
        "test_a_chunked_body_arrives_empty_and_is_a_400_that_says_so",
        "test_a_message_put_on_the_queue_by_hand_is_decided",
        "test_every_command_of_the_walk_through_shows_what_the_readme_says",
    }


def test_messages_go_to_an_app_elsewhere_once_its_queue_is_named() -> None:
    named = collected("--base-url", ELSEWHERE, "--queue-options", "--namespace sb-example")
    assert named - collected("--base-url", ELSEWHERE) == {
        "test_a_message_put_on_the_queue_by_hand_is_decided",
        "test_every_command_of_the_walk_through_shows_what_the_readme_says",
    }


def test_without_an_app_redis_and_service_bus_are_where_the_example_settings_look_for_them(tmp_path: Path) -> None:
    if taken := [port for port in (REDIS_PORT, BUS_PORT) if is_taken(port)]:
        pytest.skip(f"somebody listens on {taken} here")
    values = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
    with running_lab(tmp_path, "--without-app") as lab:
        found = json.loads((tmp_path / "up.json").read_text())
        assert set(lab.pids) == {"redis", "bus"}
    assert lab.redis_url == values["REDIS_URL"]
    assert found["service_bus"].split(";")[0].removesuffix(":5672") == values["ServiceBusConnection"].split(";")[0]
