"""docs/redis-session.md: its examples run, and its tables are what docs/proof holds."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import redis

from lab.azure.redis_server import free_port
from lab.proof.faults.session.faults import FAULTS
from lab.proof.faults.session.report import write_report
from lab.proof.strategies import OURS
from tests import ROOT
from tests.pages import blocks, page, proof, row
from tests.running_lab import running_lab
from tests.waiting import wait_until

PAGE = page("redis-session.md")
WHOLE_APP, FASTAPI = blocks(PAGE, "python")[:2]
(IN_THE_README,) = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")
BENCH, TRIALS = map(proof, ("bench", "faults-session"))
CLIENTS = {
    "ours": "one multiplexed connection",
    "default pool": "shared redis-py client, defaults",
    "strategy 3": "2023's strategy 3 (PING each), redis-py's pool",
    "blocking pool (1)": "BlockingConnectionPool(1)",
    "blocking pool (2)": "BlockingConnectionPool(2)",
    "blocking pool (8)": "BlockingConnectionPool(8)",
    "valkey-glide": "valkey-glide (Rust core)",
    "coredis": "coredis",
    "bare": "bare protocol + hiredis, no safety: the limit",
}


def median(side: str, link: str, concurrency: int, what: str = "calls_per_s") -> str:
    """Over the rounds."""
    cell = next(c for c in BENCH["medians"] if (c["side"], c["link"], c["concurrency"]) == (side, link, concurrency))
    return f"{cell[what]:,.0f}"


def measured(side: str) -> str:
    """A client's row: one process."""
    name = f"**{CLIENTS[side]}**" if side == "ours" else CLIENTS[side]
    alone, together, away = median(side, "loopback", 1), median(side, "loopback", 100), median(side, "1ms", 100)
    cpu = f"{median(side, 'loopback', 100, 'cpu_us')} us"
    return row(name, BENCH["connections"][side], alone, together, cpu, away)


def test_every_client_has_its_row() -> None:
    assert BENCH["connections"].keys() == CLIENTS.keys()
    assert [measured(side) for side in CLIENTS if measured(side) not in PAGE] == []


def test_the_ratios_are_those_of_the_run() -> None:
    found = BENCH["ratios"]
    shown = (
        f"{found['vs_default_c100']:.1f} times the calls of redis-py's default pool",
        f"1/{1 / (found['cpu_vs_default_c100'] or 1):.0f} of its CPU per call",
        f"{found['vs_default_c100_1ms']:.1f} times with the server 1 ms away",
        f"{found['vs_glide_c100']:.1f} times valkey-glide",
        f"{found['vs_bare_c100']:.2f} of the bare limit",
    )
    assert [text for text in shown if text not in " ".join(PAGE.split())] == []


def test_every_fault_ran_and_broke_nothing_of_ours() -> None:
    assert TRIALS["broken"] == {fault: [] for fault in FAULTS}
    ours = [outcome for outcome in TRIALS["outcomes"] if outcome["side"] == OURS]
    assert [outcome["fault"] for outcome in ours] == list(FAULTS)
    assert [outcome for outcome in ours if outcome["leaked"] or outcome["done_twice"]] == []


def test_the_page_that_is_linked_shows_every_trial(tmp_path: Path) -> None:
    written = write_report(tmp_path, TRIALS, "python -m lab faults --session").read_text(encoding="utf-8")
    assert written == (ROOT / "docs/proof/faults-session/README.md").read_text(encoding="utf-8")
    assert "(proof/faults-session/README.md)" in PAGE


@pytest.mark.parametrize("counter", ["hung", "lost"])
def test_nothing_hung_and_nothing_confirmed_was_lost_on_any_side(counter: str) -> None:
    assert sum(outcome[counter] for outcome in TRIALS["outcomes"]) == 0


def app_of(folder: Path, text: str) -> Path:
    """An app of one file beside a copy of the session."""
    (folder / "app/services").mkdir(parents=True)
    shutil.copytree(ROOT / "services/redis_session", folder / "app/services/redis_session")
    (folder / "app/host.json").write_text('{"version": "2.0"}')
    (folder / "app/function_app.py").write_text(text)
    return folder / "app"


@pytest.mark.parametrize("text", [WHOLE_APP, IN_THE_README], ids=["on the page", "in the README"])
def test_a_whole_app_serves_all_its_callers_on_one_connection(text: str, tmp_path: Path, redis_url: str) -> None:
    app = app_of(tmp_path, text)
    with (
        redis.Redis.from_url(redis_url) as admin,
        running_lab(tmp_path, "--app", str(app), "--redis", redis_url) as lab,
    ):
        before = admin.info("stats")["total_connections_received"]
        with ThreadPoolExecutor(20) as pool, httpx.Client(base_url=lab.url, timeout=20) as api:
            answers = list(pool.map(lambda _: api.get("/api/visits/home").text, range(100)))
        assert admin.info("stats")["total_connections_received"] - before <= 1
    assert sorted(map(int, answers)) == list(range(1, 101))


def test_the_whole_app_answers_503_with_retry_after_while_redis_is_gone(tmp_path: Path) -> None:
    with running_lab(tmp_path, "--app", str(app_of(tmp_path, WHOLE_APP))) as lab:
        assert httpx.get(f"{lab.url}/api/visits/home", timeout=20).text == "1"
        os.kill(lab.pids["redis"], signal.SIGKILL)
        wait_until(lambda: httpx.get(f"{lab.url}/api/visits/home", timeout=20).status_code == 503)
        assert httpx.get(f"{lab.url}/api/visits/home", timeout=20).headers["retry-after"] == "2"


async def in_fastapi(address: str, calls: int, monkeypatch: pytest.MonkeyPatch) -> list[httpx.Response]:
    """The answers of the app on the page."""
    monkeypatch.setenv("REDIS_URL", address)
    page = ModuleType("page")
    exec(FASTAPI, page.__dict__)  # noqa: S102 - it is ours
    transport = httpx.ASGITransport(page.app)
    async with page.lifespan(page.app), httpx.AsyncClient(transport=transport, base_url="http://app") as api:
        return await asyncio.gather(*(api.get("/visits/home") for _ in range(calls)))


async def test_in_fastapi_all_callers_share_one_connection(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis.Redis.from_url(redis_url) as admin:
        before = admin.info("stats")["total_connections_received"]
        answers = await in_fastapi(redis_url, 100, monkeypatch)
        assert admin.info("stats")["total_connections_received"] - before == 1
    assert sorted(answer.json() for answer in answers) == list(range(1, 101))


async def test_fastapi_answers_503_with_retry_after_while_redis_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    (answer,) = await in_fastapi(f"redis://127.0.0.1:{free_port()}/0", 1, monkeypatch)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_the_figures_of_the_readme_are_those_of_the_runs() -> None:
    opened = {o["side"]: o["opened"] for o in TRIALS["outcomes"] if o["fault"] == "kill"}
    cpu = {side: median(side, "loopback", 100, "cpu_us") for side in ("ours", "default pool")}
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    shown = f"cost this session {opened['ours']} new connections, redis-py's default pool {opened['redis-py']}."
    assert shown in readme
    assert f"took {cpu['ours']} us of CPU, with that pool {cpu['default pool']}" in readme
