"""The Locust file, laid out as Azure Load Testing does it: against the lab, and against apps that break a promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests import ROOT
from tests.running_lab import running_lab

HOME = ROOT / "lab/proof/spike"
CONFIG = yaml.safe_load((HOME / "load-test.yaml").read_text())
PROGRAM = ROOT / "build/locust/bin/locust"
KEY = "k3y-for-locust"
ORDERS = 100
Answer = tuple[int, dict[str, object]]
Shop = Callable[[str, str], Answer]

pytestmark = pytest.mark.own_lab("it is a load test of an app that nobody else uses")


@pytest.fixture(scope="module")
def locust() -> Path:
    """Locust, which is not among the packages of the tests: it would turn their process over to gevent."""
    if not PROGRAM.exists() and os.environ.get("REQUIRE_LOCUST"):
        pytest.fail(f"REQUIRE_LOCUST is set and there is no Locust: make {PROGRAM.relative_to(ROOT)}")
    if not PROGRAM.exists():
        pytest.skip(f"no Locust here: make {PROGRAM.relative_to(ROOT)}")
    return PROGRAM


def spike(locust: Path, folder: Path, url: str, key: str = "", settle_s: int = 30) -> subprocess.CompletedProcess[str]:
    for name in (CONFIG["testPlan"], *CONFIG["configurationFiles"]):
        shutil.copy(HOME / name, folder)
    settings = {
        "SPIKE_ORDERS": str(ORDERS),
        "SPIKE_SECONDS": "2",
        "SPIKE_SETTLE_SECONDS": str(settle_s),
        "FUNCTIONS_KEY": key,
    }
    size = {"LOCUST_HOST": url, "LOCUST_USERS": "20", "LOCUST_SPAWN_RATE": "20", "LOCUST_RUN_TIME": "50"}
    return subprocess.run(
        [locust, "-f", CONFIG["testPlan"], "--headless", "--only-summary"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **settings, **size},
        capture_output=True,
        text=True,
        check=False,
    )


def entries(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[int, int]]:
    """{entry: how often, how often failed} of the statistics."""
    found = re.findall(r"^(\S+(?: DUE)?) +(\S.*?) +(\d+) +(\d+)\(", done.stdout + done.stderr, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return {f"{kind} {name}": (int(count), int(failed)) for kind, name, count, failed in found}


def test_every_order_of_the_spike_is_placed_and_followed_and_every_check_holds(locust: Path, tmp_path: Path) -> None:
    with running_lab(tmp_path, "--key", KEY) as lab:
        done = spike(locust, tmp_path, lab.url, KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    found = entries(done)
    assert found["POST place an order"] == found["FROM DUE place an order"] == (ORDERS, 0)
    assert found["GET follow an order"][0] >= 2 * ORDERS
    assert [found[f"CHECK {name}"] for name in ("undecided", "decided twice", "oversold")] == [(1, 0)] * 3
    assert KEY not in done.stdout + done.stderr


def test_a_wrong_key_ends_the_run_at_once_and_is_reported(locust: Path, tmp_path: Path) -> None:
    with running_lab(tmp_path, "--key", KEY) as lab:
        done = spike(locust, tmp_path, lab.url, "wrong")
    assert done.returncode == 1
    assert "cannot be put on sale, it was answered 401" in done.stdout
    assert entries(done) == {"PUT put the drop": (1, 1)}


@contextmanager
def app_that(answer: Shop) -> Iterator[str]:
    """A made-up app: accepts every order, and answers GET by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            drop, _, order = self.path.removeprefix("/api/drops/").partition("/orders/")
            self.reply(*answer(drop, order))

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(201, {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(202, {"order_id": self.headers["Idempotency-Key"], "status": "queued"})

        def reply(self, status: int, content: dict[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def drop_with(confirmed: int) -> dict[str, object]:
    return {"stock": ORDERS, "remaining": ORDERS - confirmed, "confirmed": confirmed}


def never_decides(drop: str, order: str) -> Answer:
    return 200, {"status": "queued"} if order else drop_with(0)


def sells_one_too_many(drop: str, order: str) -> Answer:
    return 200, {"status": "confirmed"} if order else drop_with(ORDERS + 1)


def changes_its_mind() -> Shop:
    wanted: Counter[str] = Counter()

    def answer(drop: str, order: str) -> Answer:
        wanted[order] += 1
        return 200, {"status": "confirmed" if wanted[order] == 1 else "refused"} if order else drop_with(ORDERS)

    return answer


@pytest.mark.parametrize(
    ("answer", "broken"),
    [(never_decides, "undecided"), (sells_one_too_many, "oversold"), (changes_its_mind(), "decided twice")],
)
def test_a_broken_promise_fails_the_run(locust: Path, tmp_path: Path, answer: Shop, broken: str) -> None:
    with app_that(answer) as url:
        done = spike(locust, tmp_path, url, settle_s=1)  # an order that is never decided is waited for
    assert done.returncode == 1
    assert [name for name, (_, failed) in entries(done).items() if failed] == [f"CHECK {broken}"]
