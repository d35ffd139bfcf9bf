"""The host and its worker as two processes: what a worker's end, a time-out and a log line do to the rest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.integration.lab.azure.conftest import Bus
from tests.integration.lab.azure.real_host.hosts import RunningHost, host
from tests.waiting import gone, until, wait_until

APP = """
import asyncio, logging, multiprocessing, os, sys, threading, time
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
STATE, CALLS = [], []
logging.warning("of the import")
print("printed by the import")


@app.route("count")
async def count(req: func.HttpRequest) -> str:
    STATE.append(1)
    return f"{len(STATE)} {os.getpid()}"


@app.route("ends/{how}")
def ends(req: func.HttpRequest) -> str:
    sys.exit(3) if req.route_params["how"] == "exit" else os.kill(os.getpid(), 9)
    return ""


@app.route("sleeps")
async def sleeps(req: func.HttpRequest) -> str:
    await asyncio.sleep(60)
    return ""


@app.route("spawns")
def spawns(req: func.HttpRequest) -> str:
    child = multiprocessing.get_context("spawn").Process(target=print, args=("in a child",))
    child.start()
    child.join()
    return str(child.exitcode)


class Unwritable:
    def __str__(self) -> str:
        raise ValueError("no text")


@app.route("logs/{what}")
async def logs(req: func.HttpRequest) -> str:
    what = req.route_params["what"]
    if what == "mismatch":
        logging.info("%s %d", "text", "no number")
    if what == "unwritable":
        logging.info("%s", Unwritable())
    if what == "surrogate":
        logging.info("lone \\ud800")
    if what == "marks":
        async def later() -> None:
            logging.info("in a task")
            await asyncio.sleep(0.2)
            logging.info("in a late task")
        logging.getLogger("azure.something").info("of an SDK")
        thread = threading.Thread(target=lambda: logging.info("in a thread"))
        thread.start()
        thread.join()
        app.task = asyncio.create_task(later())
        await asyncio.sleep(0.05)
    return "went on"


@app.service_bus_queue_trigger(arg_name="message", queue_name="brief", connection="Bus")
async def take(message: func.ServiceBusMessage):
    if b"value" in message.get_body():
        return "a value"
    if b"kill" in message.get_body():
        os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningHost]]:
    with contextlib.ExitStack() as running:

        def begin(host_json: str = "", **settings: str) -> RunningHost:
            folder = tmp_path_factory.mktemp("host") / "app"
            folder.mkdir()
            (folder / "function_app.py").write_text(APP)
            (folder / "host.json").write_text(f'{{"version": "2.0"{host_json}}}')
            return running.enter_context(host(folder, settings))

        yield begin


@pytest.fixture(scope="module")
def shared(start: Callable[..., RunningHost]) -> RunningHost:
    """One host for the tests that leave its worker alive."""
    return start()


def get(running: RunningHost, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{running.port}/api/{path}", timeout=120)


def answers(running: RunningHost) -> Callable[[], bool]:
    return lambda: get(running, "count").status_code == 200


def test_a_worker_that_ends_loses_its_state_and_is_back_at_once_but_the_third_kill_in_a_minute_ends_the_host(
    start: Callable[..., RunningHost],
) -> None:
    running = start()
    for how in ("exit", "kill", "kill"):
        before = [get(running, "count").text.split() for _ in range(2)][-1]
        ended = get(running, f"ends/{how}")
        assert (ended.status_code, ended.content) == (500, b"")
        wait_until(answers(running))
        after = get(running, "count").text.split()
        assert (after[0], before[1] != after[1]) == ("2", True)  # `answers` called it once
    assert running.child.alive
    get(running, "ends/kill")
    assert running.child.wait(120) == 1
    assert any("too often" in line for line in running.child.tail())


def test_a_time_out_replaces_the_worker_and_fails_what_else_it_did(start: Callable[..., RunningHost]) -> None:
    running = start(', "functionTimeout": "00:00:02"')

    async def both() -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}/api", timeout=120) as client:
            first = asyncio.create_task(client.get("/sleeps"))
            await asyncio.sleep(1)
            return [answer.status_code for answer in await asyncio.gather(first, client.get("/sleeps"))]

    worker = get(running, "count").text.split()[1]
    assert asyncio.run(both()) == [500, 500]
    wait_until(answers(running))
    assert get(running, "count").text.split()[1] != worker


@pytest.mark.parametrize("what", ["mismatch", "unwritable", "surrogate"])
def test_a_log_line_that_cannot_be_written_raises_into_the_function(shared: RunningHost, what: str) -> None:
    assert get(shared, f"logs/{what}").status_code == 500
    assert get(shared, "logs/none").text == "went on"


def test_a_log_line_outside_an_invocation_is_marked(shared: RunningHost) -> None:
    assert get(shared, "logs/marks").status_code == 200
    mark = "(outside an invocation) "
    wait_until(lambda: any("in a late task" in line for line in shared.child.tail()))
    lines = "\n".join(shared.child.tail())
    for marked in ("of the import", "in a thread", "in a late task"):
        assert f"{mark}{marked}" in lines
    for plain in ("[azure.something] of an SDK", "[root] in a task"):
        assert plain in lines
    assert "\nprinted by the import" in f"\n{lines}"


def test_a_function_may_spawn_a_process(shared: RunningHost) -> None:
    assert get(shared, "spawns").text == "0"


def test_a_killed_host_takes_its_worker_along(start: Callable[..., RunningHost]) -> None:
    running = start()
    worker = int(get(running, "count").text.split()[1])
    os.kill(running.child.pid, signal.SIGKILL)
    wait_until(lambda: gone(worker))


async def test_a_value_that_a_message_function_returns_makes_a_dead_letter_and_a_killed_worker_gives_up_its_message(
    start: Callable[..., RunningHost], bus: Bus
) -> None:
    running = await asyncio.to_thread(start, Bus=bus.broker.connection_string)
    await bus.send("value", queue="brief")
    await bus.until(queue="brief", active=0, dead=1)
    await bus.send("kill", queue="brief")
    await until(lambda: any("delivery 2" in line for line in running.child.tail()))
    assert running.child.alive or running.child.returncode == 1
