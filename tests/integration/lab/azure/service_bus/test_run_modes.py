"""The ways to run the broker: on a loop, on a thread, as a process."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from azure.servicebus import ServiceBusMessage

from lab.azure.service_bus import Broker, LocalServiceBus, QueueConfig
from lab.azure.service_bus.__main__ import serve
from tests import ROOT
from tests.integration.lab.azure.service_bus.certificate import make_certificate
from tests.integration.lab.azure.service_bus.clients import connect
from tests.waiting import until

MODULE = [sys.executable, "-m", "lab.azure.service_bus"]


async def test_on_the_running_loop_a_client_of_the_same_loop_is_served() -> None:
    async with Broker({"orders": QueueConfig()}) as broker:
        client = connect("aio", broker.connection_string)
        await client.send("orders", ServiceBusMessage("x"))
        assert broker.stats("orders")["active"] == 1
        await client.close()


async def test_a_broker_can_be_asked_from_another_thread_while_it_runs_on_a_loop() -> None:
    async with Broker({"orders": QueueConfig()}) as broker:
        stats = await asyncio.to_thread(broker.stats, "orders")
    assert stats["active"] == 0


def test_a_broker_runs_once_at_a_time() -> None:
    with Broker() as broker, pytest.raises(RuntimeError, match="stop it first"):
        broker.start()


def test_a_stopped_broker_keeps_its_messages_and_can_start_again() -> None:
    broker = Broker()
    for _ in range(2):
        with broker:
            assert broker.stats("orders")["active"] == 0
    assert broker.queues == ["orders"]


def test_a_taken_port_raises_where_the_broker_is_started() -> None:
    with Broker() as broker, pytest.raises(OSError, match="address already in use"):
        Broker(port=broker.port).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_as_a_process_it_prints_a_usable_connection_string_and_ends_cleanly(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *MODULE, "--port", "0", cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        assert line.endswith("UseDevelopmentEmulator=true;")
        client = connect("aio", line)
        await client.send("orders", ServiceBusMessage("x"))
        await client.close()
    finally:
        process.send_signal(number)
        _, complaints = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, complaints) == (0, b"")


async def test_as_a_process_it_speaks_tls_and_answers_health(tmp_path: Path, unused_tcp_port: int) -> None:
    certificate, key = make_certificate(tmp_path)
    words = [*MODULE, "--port", "0", "--tls", str(certificate), str(key), "--health", str(unused_tcp_port)]
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        port = int(line.split(";")[0].rpartition(":")[2])
        context = ssl.create_default_context(cafile=certificate)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.close()
        answers = [await asyncio.to_thread(get, unused_tcp_port, path) for path in ("/health", "/other")]
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), 20)
    assert answers == [(200, b'{"status":"healthy"}'), (404, b"")]
    assert "UseDevelopmentEmulator" not in line


def get(port: int, path: str) -> tuple[int, bytes]:
    wanted = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    wanted.request("GET", path)
    answer = wanted.getresponse()
    found = answer.status, answer.read()
    wanted.close()
    return found


async def test_it_ends_on_a_signal_where_the_loop_takes_no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", Mock(side_effect=NotImplementedError))
    handlers: dict[int, Callable[..., None]] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    serving = asyncio.create_task(serve(LocalServiceBus(["orders"]), 0))
    await until(lambda: signal.SIGTERM in handlers)
    handlers[signal.SIGTERM](signal.SIGTERM, None)
    await asyncio.wait_for(serving, 10)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MODULE, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "TAKEN"], "error: cannot listen on"),
        (["--port", "0", "--config", "Config.json"], "error: the file needs 'UserConfig' as an object.\n"),
        (["--port", "0", "--tls", "cert.pem", "key.pem"], "Give a PEM certificate and its key."),
    ],
)
def test_what_keeps_it_from_starting_is_reported_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "Config.json").write_text("{}")
    with Broker() as broker:
        command = [*MODULE, *(word.replace("TAKEN", str(broker.port)) for word in words)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr.count("\n"), said in done.stderr) == (2, 1, True)
