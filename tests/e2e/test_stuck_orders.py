"""Orders that nobody decides: found and finished with the tools; dead letters are told apart by their orders."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time

import httpx
import pytest
import redis

from lab.__main__ import main
from tests import ROOT
from tests.e2e.shop import decided, order, put_drop
from tests.running_lab import Lab


def lose_a_decision(lab: Lab, drop_id: str, order_id: str, age_s: int) -> None:
    """An order that was queued so long ago, and has no message."""
    placed_at = int((time.time() - age_s) * 1000)
    record = {"customer_id": "ada", "quantity": 1, "status": "queued", "placed_at": placed_at}
    with redis.Redis.from_url(lab.redis_url) as store:
        store.hset(f"{{drop:{drop_id}}}:orders", order_id, json.dumps(record))


@pytest.mark.own_lab("it writes into the Redis of the lab")
def test_a_lost_decision_is_found_and_finished(api: httpx.Client, lab: Lab, drop_id: str) -> None:
    put_drop(api, drop_id, 5)
    lose_a_decision(lab, drop_id, "stuck", 3600)
    lose_a_decision(lab, drop_id, "fresh", 60)
    shown = lab.command("requeue", "--drop", drop_id, "--older-than", "30m")
    assert ("stuck" in shown, "fresh" in shown, "Sent" in shown) == (True, False, False)
    assert api.get(f"/drops/{drop_id}/orders/stuck").json()["status"] == "queued"
    shown = lab.command("requeue", "--url", lab.url, "--drop", drop_id, "--older-than", "30m", "--send")
    assert "Sent 1 to queue" in shown
    assert decided(api, drop_id, "stuck")["status"] == "confirmed"
    assert lab.command("requeue", "--drop", drop_id, "--older-than", "30m").startswith("0 of drop")


def letters(lab: Lab) -> dict[str, list[str]]:
    """What the app says of an order -> the dead letters of which it says so; of those without one, the `[]` alone."""
    lines = lab.command("dead-letters", "--url", lab.url).splitlines()
    dead = [line for line in lines if "MaxDeliveryCountExceeded" in line]
    given = {says: [line for line in dead if says in line] for says in ("confirmed", "unknown")}
    return {**given, "no order": [line for line in dead if "no order" in line and "[]" in line]}


@pytest.mark.own_lab("it looks at all dead letters of the lab")
def test_a_dead_letter_shows_its_order_as_the_app_knows_it(api: httpx.Client, lab: Lab, drop_id: str) -> None:
    put_drop(api, drop_id, 5)
    done = order(api, drop_id, "ada").json()
    decided(api, drop_id, done["order_id"])
    unlike = {**done, "customer_id": "somebody-else"}
    nowhere = {**done, "order_id": "elsewhere", "drop_id": "no-such-drop"}
    lab.command("enqueue", json.dumps(unlike), json.dumps(nowhere), "[]")
    ends_at = time.monotonic() + 30
    while not all((given := letters(lab)).values()):
        assert time.monotonic() < ends_at, given
    assert [len(lines) for lines in given.values()] == [1, 1, 1], given
    assert "elsewhere" in given["unknown"][0]


def test_a_health_check_by_head_answers_like_get(api: httpx.Client) -> None:
    for path in ("/health", "/health/ready"):
        answer = api.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("text", ["15", "m", "-5m", "1.5h"])
def test_a_time_without_a_unit_is_refused_in_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["requeue", "--drop", "d", f"--older-than={text}"])
    assert "is not a time such as 90s, 15m, 2h or 1d" in capsys.readouterr().err


@pytest.mark.own_lab("it asks an app on this machine")
def test_no_proxy_comes_between_requeue_and_an_app_on_this_machine(lab: Lab) -> None:
    words = [sys.executable, "-m", "lab", "requeue", "--drop", "none", *shlex.split(lab.queue_options)]
    nobody = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:1")
    environment = {**os.environ, **nobody, "NO_PROXY": "", "no_proxy": ""}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "There is no drop none." in done.stderr) == (1, True), done.stderr
