"""`python -m lab`: up, enqueue and dead-letters as a person uses them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from lab.__main__ import main
from lab.azure.redis_server import PORTS
from lab.azure.state_file import read_state
from tests import ROOT
from tests.waiting import gone, wait_until

APP = """
import json
import azure.functions as func
import redis

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
import os

store = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


@app.route(route="health/ready", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def ready(req: func.HttpRequest) -> str:
    return "ready"


@app.route(route="seen", methods=["GET"])
def seen(req: func.HttpRequest) -> str:
    return json.dumps(store.lrange("seen", 0, -1))


@app.service_bus_queue_trigger(arg_name="message", queue_name="%ORDERS_QUEUE%", connection="ServiceBusConnection")
def fulfil(message: func.ServiceBusMessage) -> None:
    body = message.get_body().decode()
    if "bad" in body and not store.exists("mended"):
        raise ValueError("cannot be decided")
    store.rpush("seen", body)
"""


@dataclass
class Up:
    """A running `python -m lab up`."""

    process: subprocess.Popen[str]
    state_file: Path
    log: Path

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.state_file.read_text())
        return found

    def run(self, *words: str) -> int:
        """Another of the lab's commands, against this lab."""
        return main([words[0], "--state", str(self.state_file), *words[1:]])

    def seen(self) -> list[str]:
        bodies: list[str] = httpx.get(f"{self.state['url']}/api/seen", timeout=20).json()
        return bodies

    def wait_ready(self) -> None:
        wait_until(lambda: "Ready on" in self.log.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


Start = Callable[..., Up]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    (folder / "function_app.py").write_text(APP)
    (folder / "host.json").write_text('{"version": "2.0"}')
    return folder


@pytest.fixture(scope="module")
def start(app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    running: list[Up] = []

    def begin(*words: str, **environment: str) -> Up:
        folder = tmp_path_factory.mktemp("up")
        log = folder / "log"
        command = [sys.executable, "-m", "lab", "up", "--port", "0", "--app", str(app)]
        command += ["--state", str(folder / "up.json"), *words]
        with log.open("w") as output:
            own = os.environ | {"TMPDIR": str(folder)} | environment  # a lab that is killed leaves its files
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True, env=own)
        running.append(Up(process, folder / "up.json", log))
        return running[-1]

    yield begin
    for up in running:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait(10)


@pytest.fixture(scope="module")
def shared(start: Start) -> Up:
    """One lab for the tests that do not end it."""
    up = start()
    up.wait_ready()
    return up


def test_up_says_what_runs_where_and_how_to_end_it_and_no_secret(shared: Up) -> None:
    log = shared.log.read_text()
    url = shared.state["url"]
    assert urlsplit(url).port in PORTS
    assert f"GET    {url}/api/seen" in log
    assert "queue  orders" in log
    assert "/docs" not in log  # the app has no document
    assert f"Ready on {url} - Ctrl-C ends it all." in log
    assert "SharedAccessKey" not in log


def test_the_state_file_is_for_its_owner_and_names_every_process(shared: Up) -> None:
    assert stat.S_IMODE(shared.state_file.stat().st_mode) == 0o600
    assert set(shared.state["pids"]) == {"redis", "bus", "app"}
    assert not any(gone(pid) for pid in shared.state["pids"].values())


def test_messages_come_from_stdin_too(shared: Up) -> None:
    command = [sys.executable, "-m", "lab", "enqueue", "--state", str(shared.state_file), "--file", "-"]
    sent = subprocess.run(
        command, cwd=ROOT, input="line one\nline two\n", capture_output=True, text=True, timeout=120, check=True
    )
    assert "Sent 2 messages" in sent.stdout
    wait_until(lambda: {"line one", "line two"} <= set(shared.seen()))


def test_a_dead_letter_is_listed_with_its_reason_and_replayed(shared: Up, capsys: pytest.CaptureFixture[str]) -> None:
    assert shared.run("dead-letters") == 0
    assert "No dead letters" in capsys.readouterr().out
    body = '{"order_id": "o-17", "bad": 1}'
    shared.run("enqueue", body, "--message-id", "m-17")
    wait_until(lambda: shared.log.read_text().count("MessageId m-17, delivery") == 10)
    capsys.readouterr()

    def listed() -> bool:
        shared.run("dead-letters")
        shown = capsys.readouterr().out
        return all(word in shown for word in ("m-17", "o-17", "MaxDeliveryCountExceeded", body))

    wait_until(listed)
    with redis.Redis.from_url(shared.state["redis_url"]) as store:
        store.set("mended", 1)
    assert shared.run("dead-letters", "--replay") == 0
    assert "Sent 1 of 1 back to queue 'orders' with fresh MessageIds." in capsys.readouterr().out
    wait_until(lambda: body in shared.seen())
    assert shared.log.read_text().count("MessageId m-17, delivery") == 10
    shared.run("dead-letters")
    assert "No dead letters" in capsys.readouterr().out


def test_a_service_bus_that_does_not_answer_is_one_line_on_stderr(
    shared: Up, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=s3cret;UseDevelopmentEmulator=true;"
    assert shared.run("enqueue", "x", "--service-bus", nowhere) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: Service Bus does not answer")
    assert "s3cret" not in shown


OTHER = """
import os
import azure.functions as func
import lab
from services.mine import NAME

try:
    import blueprints
except ImportError:
    blueprints = None
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
GOT = []

@app.route("who")
def who(req: func.HttpRequest) -> str:
    return f"{NAME} {lab.NAME} {blueprints} {GOT} {[name for name in os.environ if name.startswith('LAB_')]}"

@app.service_bus_queue_trigger(arg_name="message", queue_name="tasks", connection="Other")
def work(message: func.ServiceBusMessage) -> None:
    GOT.append(message.get_body())

@app.service_bus_topic_trigger(arg_name="message", topic_name="t", subscription_name="s", connection="Other")
def hear(message: func.ServiceBusMessage) -> None: ...
"""


def test_another_app_gets_its_own_queues_connections_and_packages(start: Start, tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(OTHER)
    (tmp_path / "lab.py").write_text("NAME = 'own lab'")
    (tmp_path / "services").mkdir()  # without __init__.py: a package of ours elsewhere on the path would win
    (tmp_path / "services" / "mine.py").write_text("NAME = 'own services'")
    up = start("--app", str(tmp_path))
    up.wait_ready()
    assert "hear is not served: the lab's Service Bus has no topics" in up.log.read_text()
    assert up.run("enqueue", "for tasks") == 0
    expected = "own services own lab None [b'for tasks'] []"
    wait_until(lambda: httpx.get(f"{up.state['url']}/api/who", timeout=20).text == expected)
    assert up.end() == 0


def test_an_app_that_keeps_the_host_from_starting_is_reported_with_the_reason(start: Start, tmp_path: Path) -> None:
    bad = APP.replace('route="seen"', 'route="/seen"')
    (tmp_path / "function_app.py").write_text(bad)
    up = start("--app", str(tmp_path))
    assert up.process.wait(120) == 1
    assert "error: the function seen has the route 'api//seen'" in up.log.read_text()


def test_a_second_lab_gets_a_state_file_of_its_own_and_ctrl_c_ends_what_it_started_alone(
    shared: Up, start: Start
) -> None:
    first = shared
    second = start("--state", str(first.state_file))
    second.wait_ready()
    own = first.state_file.with_name(f"up-{second.process.pid}.json")
    assert f"enqueue --state {own}" in second.log.read_text()
    noted = json.loads(own.read_text())
    assert (first.state["pid"], noted["pid"]) == (first.process.pid, second.process.pid)
    assert second.end(signal.SIGINT) == 0
    assert [pid for pid in noted["pids"].values() if not gone(pid)] == []
    assert (own.exists(), first.state["pid"]) == (False, first.process.pid)


def test_what_dies_later_is_reported_loudly_and_the_app_goes_on_until_a_second_ctrl_c(start: Start) -> None:
    """Which does not wait for what a child still does."""
    up = start()
    up.wait_ready()
    os.kill(up.state["pids"]["redis"], signal.SIGKILL)
    wait_until(lambda: "!!! redis" in up.log.read_text())
    assert httpx.get(f"{up.state['url']}/api/health/ready", timeout=20).status_code == 200
    app = up.state["pids"]["app"]
    os.kill(app, signal.SIGSTOP)
    up.process.send_signal(signal.SIGINT)
    wait_until(lambda: "Ctrl-C again ends it at once" in up.log.read_text())
    with contextlib.suppress(ProcessLookupError):  # it may have been quicker
        os.kill(app, signal.SIGSTOP)  # as if it were busy: ending it politely has to wait
    assert up.end() == 0
    assert gone(app)


def test_an_app_that_is_not_ready_is_shown_with_its_reason_and_a_killed_lab_leaves_no_process_behind(
    start: Start, tmp_path: Path
) -> None:
    text = APP.replace('return "ready"', 'return func.HttpResponse(\'{"reason": "no tea"}\', status_code=503)')
    (tmp_path / "function_app.py").write_text(
        text.replace("-> str:\n    return func.Http", "-> func.HttpResponse:\n    return func.Http")
    )
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    up = start("--app", str(tmp_path))
    up.wait_ready()
    wait_until(lambda: "NOT READY: no tea" in up.log.read_text())
    pids = list(up.state["pids"].values())
    up.process.kill()
    up.process.wait(10)
    wait_until(lambda: all(gone(pid) for pid in pids))
    assert read_state(up.state_file) is None


@pytest.mark.parametrize(
    ("words", "least"),
    [*(([f"--client-limit={number}"], 1) for number in ("0", "-1", "many")), (["--redis-cluster", "2"], 3)],
)
def test_too_few_clients_or_nodes_of_a_cluster_are_refused_in_one_line(
    words: list[str], least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["up", *words])
    assert f"a whole number of {least} or more" in capsys.readouterr().err


def test_with_a_key_functions_want_it_and_it_is_never_shown(start: Start) -> None:
    up = start("--key", "s3cret-key", "--client-limit", "20")
    up.wait_ready()
    url = f"{up.state['url']}/api/seen"
    assert httpx.get(url, timeout=20).status_code == 401
    assert httpx.get(url, headers={"x-functions-key": "s3cret-key"}, timeout=20).status_code == 200
    assert up.end(signal.SIGTERM) == 0
    assert "s3cret-key" not in up.log.read_text()
    assert "at most 20 clients" in up.log.read_text()


def test_a_port_that_is_taken_is_reported_with_what_to_do(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = start("--port", str(taken.getsockname()[1]))
        assert up.process.wait(120) == 1
    assert "cannot be used" in up.log.read_text()
    assert "--port 0" in up.log.read_text() or "0: a free one" in up.log.read_text()


def test_an_app_that_ends_at_its_start_is_shown_in_its_own_words(start: Start, tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("")
    (tmp_path / "host.json").write_text("{")
    up = start("--app", str(tmp_path))
    assert up.process.wait(120) == 1
    assert "The app ended with code 1" in up.log.read_text()
    assert "host.json is not JSON" in up.log.read_text()


def test_neither_a_proxy_nor_a_bad_certificate_file_comes_between_the_lab_and_our_app(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        through = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = [*("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), *("http_proxy", "https_proxy", "all_proxy")]
        odd = {
            "NO_PROXY": "::1,[::1],*.internal",
            "no_proxy": "10.0.0.0/8",
            "SSL_CERT_FILE": str(tmp_path / "none.pem"),
        }
        environment = dict.fromkeys(names, through) | odd
        up = start("--app", str(ROOT), **environment)
        up.wait_ready()
        assert "NOT READY" not in up.log.read_text()
        assert f"{up.state['url']}/docs" in up.log.read_text()
        assert httpx.get(f"{up.state['url']}/docs", timeout=20).status_code == 200
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert up.run("status") == 0
        assert f"{up.state['url']}   ready" in capsys.readouterr().out
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()  # nobody came
    assert up.end() == 0
