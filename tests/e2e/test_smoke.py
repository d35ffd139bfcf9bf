"""`make smoke` against a lab that enforces keys, as Azure does: it proves the app, twice, and names what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import ROOT
from tests.e2e.conftest import KEY
from tests.e2e.walk_through import Step, WalkThrough, steps
from tests.running_lab import Lab

pytestmark = pytest.mark.own_lab("it proves `make smoke` itself, which is for an app that runs elsewhere")


def smoke(url: str, key: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-m", "tests.e2e.smoke", url],  # -S: no package can be imported
        cwd=ROOT,
        env={**os.environ, "FUNCTIONS_KEY": key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_deployed_app_passes_every_time_on_a_drop_of_its_own(keyed_lab: Lab) -> None:
    """And its queue is left alone without a namespace."""
    for _ in range(2):
        done = smoke(keyed_lab.url, KEY)
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("ok  curl") == sum(not step.is_by_hand for step in steps())
        assert "-m lab" not in done.stdout
        assert KEY not in done.stdout + done.stderr


def test_a_wrong_key_is_not_shown_and_fails_and_it_says_where_to_find_the_right_one(keyed_lab: Lab) -> None:
    done = smoke(keyed_lab.url, "wr0ng-key")
    assert done.returncode == 1
    assert "docs/deploy.md says how to get it" in done.stdout
    assert "wr0ng-key" not in done.stdout + done.stderr


def test_make_passes_the_key_by_the_environment_and_never_prints_it(keyed_lab: Lab) -> None:
    shown = subprocess.run(
        ["make", "-n", "smoke", f"URL={keyed_lab.url}", f"KEY={KEY}", "NAMESPACE=sb-example"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"-m tests.e2e.smoke {keyed_lab.url} --namespace sb-example" in shown.stdout
    assert KEY not in shown.stdout


def test_the_namespace_goes_to_the_commands_of_the_queue_and_the_drop_to_every_body() -> None:
    walk_through = WalkThrough("https://app", "python", drop_id="mine", queue_options="--namespace sb-example")
    by_hand = [walk_through.command(step) for step in steps() if "-m lab" in step.line]
    assert all(command.endswith(" --namespace sb-example") for command in by_hand)
    assert '"drop_id": "mine"' in by_hand[0]


def test_a_step_that_shows_something_else_fails_with_what_it_showed(keyed_lab: Lab) -> None:
    walk_through = WalkThrough(keyed_lab.url, sys.executable, within_s=0)
    with pytest.raises(AssertionError, match=r"but showed:\nHTTP/1.1 200") as failed:
        walk_through.run(Step("curl -i http://localhost:7071/api/health", "no such answer"))
    assert "no such answer" in str(failed.value)


def test_the_expectations_hold_for_http_2_too_which_azure_speaks() -> None:
    # No server here speaks it: its status line has no reason phrase, its header names are lower-case.
    order = next(step for step in steps() if "Idempotency-Key: first" in step.line)
    answer = 'HTTP/2 202 \nlocation: /api/drops/mine/orders/o-1\nretry-after: 1\n\n{"order_id":"o-1","status":"queued"}'
    found = order.search(answer)
    assert found
    assert found["order"] == "o-1"
