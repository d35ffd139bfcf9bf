"""`python -m lab up`: the app with a Redis and a Service Bus of its own, until Ctrl-C.

Must end everything it started and nothing else, and must never print a key or a connection string.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from lab.azure.app_needs import AppNeeds, find_needs, write_config
from lab.azure.functions_host.function_index import WITHOUT_TOPICS
from lab.azure.functions_host.server import PortTaken, listen
from lab.azure.greeting import introduce
from lab.azure.invocation_log import InvocationLog
from lab.azure.outage import RESTART
from lab.azure.processes import Child
from lab.azure.redis_server import RedisServer, RedisServerError, free_port
from lab.azure.settings import (
    CONNECTION,
    DEFAULT_QUEUE,
    QUEUE,
    ROOT,
    SettingsFileError,
    app_settings,
    read_file,
    serve_bus,
    serve_redis,
)
from lab.azure.state_file import DEFAULT_PATH, LabState, read_state, remove_state, write_state
from lab.azure.temporary import owned
from lab.azure.whole import whole

HOST = "127.0.0.1"
START_S = 30.0
STOP_S = 15.0
POLL_S = 0.05
WATCH_S = 0.5
KEY_SETTING = "LAB_FUNCTIONS_KEY"
CORS_SETTING, CORS_CREDENTIALS_SETTING = "LAB_CORS", "LAB_CORS_CREDENTIALS"
PRIMARIES = "REDIS_PRIMARIES"  # what the app's connection budget counts
FEWEST_PRIMARIES = 3  # fewer cannot agree that one is gone
REDIS_PORT = 6379  # as in local.settings.json.example
BUS_PORT = 5672  # where the SDKs look for an emulator

HELP = "the app with a Valkey and a Service Bus of its own, until Ctrl-C"
DESCRIPTION = """\
Start the app with everything it needs: a Valkey server (a real one, from a wheel), a local Service Bus and one instance
of the app on the lab's own Functions host, which does less than the real one. Ctrl-C ends them all."""
EXAMPLES = """\
examples:
  python -m lab up                                    the app of this folder on http://localhost:7071
  python -m lab up --port 0                           on a free port
  python -m lab up --key s3cret                       functions want the key, as in Azure (header x-functions-key)
  python -m lab up --client-limit 20                  a Redis that allows 20 clients
  python -m lab up --redis-cluster 3                  a Redis Cluster of three primaries
  python -m lab up --redis redis://127.0.0.1:6379/0   your own Redis
  python -m lab up --service-bus "$CONNECTION"        a real namespace, or Microsoft's emulator
  python -m lab up --app ~/my-app                     another app; the queues of its triggers are created
  python -m lab up --without-app                      for `func start`: only what local.settings.json.example names

Settings: Values of local.settings.json.example, then local.settings.json, then the environment, then what this command
starts (REDIS_URL, ORDERS_QUEUE, ServiceBusConnection and whatever connection the app's triggers name)."""


class StopAsked(Exception):
    """A signal came while things were starting."""


class StartError(RuntimeError):
    """Something did not start; the message says what, and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=7071, help="of the app on 127.0.0.1; 0 picks a free one (default: 7071)"
    )
    parser.add_argument("--app", type=Path, default=ROOT, metavar="DIR", help="the folder with function_app.py")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--redis", metavar="URL", help="use this Redis instead of starting one")
    which.add_argument(
        "--redis-cluster",
        type=whole(FEWEST_PRIMARIES),
        metavar="N",
        help=f"a cluster of N primaries, {FEWEST_PRIMARIES} or more",
    )
    parser.add_argument(
        "--service-bus", metavar="CONNECTION_STRING", help="use this Service Bus instead of a local one"
    )
    parser.add_argument(
        "--without-app",
        action="store_true",
        help=f"only the Redis on port {REDIS_PORT} and the Service Bus on port {BUS_PORT}, for an app on another host",
    )
    parser.add_argument("--key", help="enforce this function key (default: no key is asked for)")
    parser.add_argument(
        "--client-limit", type=whole(), metavar="N", help="clients that the started Redis allows (default: 10000)"
    )
    parser.add_argument("--state", type=Path, default=DEFAULT_PATH, metavar="FILE", help="where to record what runs")


def run(options: argparse.Namespace) -> int:
    """Start everything, show it, wait for a signal, end everything; returns the exit code."""
    console = Console(highlight=False)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    restart = threading.Event()
    signal.signal(RESTART, lambda *_: restart.set())
    try:
        with Lab(options, InvocationLog(console), stopping) as lab:
            lab.start()
            introduce(console, lab, options)
            code = watch(console, lab, stopping, restart)
            console.print(
                f"\nStopping ... (at most {STOP_S:.0f} s; Ctrl-C again ends it at once)", style="dim", soft_wrap=True
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: lab.kill())
    except (StartError, PortTaken, RedisServerError, SettingsFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StopAsked:
        return 0
    console.print("Everything that was started has ended.", style="dim")
    return code


class Lab:
    """Everything one `up` starts. A context manager that ends it all: first the app, then what the app needs."""

    def __init__(self, options: argparse.Namespace, log: InvocationLog, stopping: threading.Event) -> None:
        self._options = options
        self._log = log
        self._stopping = stopping
        self._cleanup = contextlib.ExitStack()
        self.settings = app_settings(options.app, os.environ)
        self.settings.setdefault(QUEUE, DEFAULT_QUEUE)
        self.needs = AppNeeds()
        self.children: dict[str, Child] = {}
        self.served: dict[str, Any] = {}
        self.state_path: Path = options.state
        self.not_ready: str | None = None
        self._redis: list[RedisServer] = []

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *error: object) -> None:
        self._cleanup.close()

    def kill(self) -> None:
        """End every child without waiting for what it does."""
        for child in self.children.values():
            child.signal(signal.SIGKILL)

    def start(self) -> None:
        """Start what is wanted, in the order in which it is needed. Raises StartError or RedisServerError."""
        port = 0 if self._options.without_app else self._free_port(self._options.port)
        self._start_redis()
        if not self._options.without_app or self._options.app != ROOT:
            self.needs = find_needs(self._options.app.resolve(), self.settings)
        self._start_service_bus()
        if not self._options.without_app:
            self._start_app(port)
        self._note()

    def _free_port(self, port: int) -> int:
        try:
            if port:
                listen(HOST, port).close()
            return port or free_port()
        except PortTaken as error:
            raise StartError(
                f"{error}\nDoes another lab run? End it, or choose a port (0: a free one):\n"
                '  make run ARGS="--port 7072", or python -m lab up --port 7072'
            ) from error

    def _start_redis(self) -> None:
        if self._options.redis:
            serve_redis(self.settings, self._options.redis)
            return
        port = REDIS_PORT if self._options.without_app else 0
        limit, primaries = self._options.client_limit, self._options.redis_cluster
        if primaries:
            from lab.azure.redis_cluster import RedisCluster  # when used: one server needs no redis-py

            cluster = RedisCluster(primaries, port=port, maxclients=limit, appendonly=True)
            self._redis = self._cleanup.enter_context(cluster).nodes
            self.settings[PRIMARIES] = str(primaries)
        else:
            self._redis = [self._cleanup.enter_context(RedisServer(port=port, maxclients=limit))]
        self._name_redis()
        serve_redis(self.settings, self._redis[0].url)

    def _name_redis(self) -> None:
        for number, server in enumerate(self._redis, 1):
            self.children["redis" if number == 1 else f"redis-{number}"] = server.child

    def restart_redis(self) -> None:
        """Start its own Redis again if it is gone, on the same port and with its data. Raises RedisServerError."""
        for server in self._redis:
            server.start()
        self._name_redis()
        self._write_state()

    def _start_service_bus(self) -> None:
        if self._options.service_bus:
            self._name_bus(self._options.service_bus)
            return
        config = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix=owned("bus")))) / "Config.json"
        write_config(self.needs.queues, config)
        lines: queue.Queue[str] = queue.Queue()

        def on_line(line: str) -> None:
            if "bus" in self.children:
                self._log.show("bus", line)
            else:  # the first line is the connection string: not for the screen
                lines.put(line)

        port = str(BUS_PORT if self._options.without_app else 0)
        words = [sys.executable, "-u", "-m", "lab.azure.service_bus", "--port", port, "--config", str(config)]
        child = self._child("bus", words, on_line)
        self._wait(child, lambda: not lines.empty())
        told = lines.get()
        if not told.startswith("Endpoint="):
            raise StartError(did_not_start(child))
        self._name_bus(told)
        self.settings[WITHOUT_TOPICS] = "1"
        self.children["bus"] = child

    def _name_bus(self, connection_string: str) -> None:
        for connection in self.needs.connections:
            serve_bus(self.settings, connection, connection_string)

    def _start_app(self, port: int) -> None:
        folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix=owned("up"))))
        announced = folder / "app.json"
        words = [sys.executable, "-m", "lab.azure.functions_host", str(self._options.app.resolve())]
        words += ["--port", str(port), "--announce", str(announced)]
        child = self._child("app", words, lambda line: self._log.show("app", line))
        self.children["app"] = child
        self._wait(child, announced.exists)
        self.served = json.loads(announced.read_text(encoding="utf-8"))
        self._wait(child, self._answers)

    def _answers(self) -> bool:
        """True if the host answers at all, whatever the status; what its readiness says is kept for the greeting."""
        try:
            answer = httpx.get(
                f"{self.served['url']}/api/health/ready", timeout=START_S, trust_env=False
            )  # on loopback
        except httpx.TransportError:
            return False
        self.not_ready = why_not_ready(answer)
        return True

    def _child(self, name: str, words: list[str], on_line: Callable[[str], None]) -> Child:
        own = read_file(self._options.app / "local.settings.json")
        cors = {CORS_SETTING: own.cors, CORS_CREDENTIALS_SETTING: "1" if own.cors_credentials else ""}
        env = {**self.settings, **cors, KEY_SETTING: self._options.key or ""}
        child = Child(name, words, env=env, cwd=ROOT, on_line=on_line)
        self._cleanup.callback(child.stop, STOP_S)
        return child

    def _wait(self, child: Child, ready: Callable[[], bool]) -> None:
        ends = time.monotonic() + START_S
        while not ready():
            if self._stopping.is_set():
                raise StopAsked
            if not child.alive or time.monotonic() > ends:
                raise StartError(did_not_start(child))
            time.sleep(POLL_S)

    def _note(self) -> None:
        path: Path = self._options.state
        if read_state(path) is not None:  # another lab runs: it stays the one that is found
            path = path.with_name(f"{path.stem}-{os.getpid()}.json")
        self.state_path = path
        self._write_state()
        self._cleanup.callback(remove_state, path, os.getpid())

    def _write_state(self) -> None:
        state = LabState(
            pid=os.getpid(),
            url=self.served.get("url", ""),
            queue=self.needs.queues[0],
            redis_url=self.settings["REDIS_URL"],
            service_bus=self.settings[CONNECTION],
            pids={name: child.pid for name, child in self.children.items()},
        )
        write_state(state, self.state_path)


def did_not_start(child: Child) -> str:
    """What to say of a child that did not start. Its own words hold no secret: they are what it logs."""
    state = "is not ready" if child.alive else f"ended with code {child.returncode}"
    tail = "\n  ".join(child.tail()[-15:]) or "(it wrote nothing)"
    return f"The {child.name} {state}. Its last lines:\n  {tail}"


def why_not_ready(answer: httpx.Response) -> str | None:
    """The reason that the app's readiness gives, if it has such a function and gives one."""
    try:
        return str(answer.json()["reason"]) if answer.status_code == 503 else None
    except (ValueError, KeyError, TypeError):
        return None


def watch(console: Console, lab: Lab, stopping: threading.Event, restart: threading.Event) -> int:
    """Wait for a signal; say loudly when something dies. Returns 1 if the app itself died, else 0."""
    missing: set[str] = set()
    while not stopping.wait(WATCH_S):
        if restart.is_set():
            restart.clear()
            lab.restart_redis()
            missing.discard("redis")
            console.print("redis is back, with its data.", style="bold green")
        for name, child in lab.children.items():
            if child.alive or name in missing:
                continue
            missing.add(name)
            if name == "app":
                console.print(Text(did_not_start(child), style="bold red"))
                return 1
            message = f"!!! {name} (pid {child.pid}) is gone, code {child.returncode}. The app goes on without it."
            console.print(Text(message, style="bold red"))
    return 0
