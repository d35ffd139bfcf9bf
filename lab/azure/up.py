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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.text import Text

from lab.azure.functions_host.server import PortTaken, listen
from lab.azure.invocation_log import InvocationLog
from lab.azure.processes import Child
from lab.azure.queue_target import endpoint
from lab.azure.redis_server import RedisServer, RedisServerError
from lab.azure.settings import CONNECTION, DEFAULT_QUEUE, QUEUE, ROOT, SettingsFileError, app_settings
from lab.azure.state_file import DEFAULT_PATH, LabState, read_state, remove_state, write_state

HOST = "127.0.0.1"
START_S = 30.0
STOP_S = 15.0
POLL_S = 0.05
WATCH_S = 0.5
KEY_SETTING = "LAB_FUNCTIONS_KEY"
REDIS_PORT = 6379  # as in local.settings.json.example
BUS_PORT = 5672  # where the SDKs look for an emulator

DESCRIPTION = """\
Start the app with everything it needs: a Valkey server (a real one, from a wheel), a local Service Bus and one instance
of the app on a light Functions host. Ctrl-C ends them all. That host is lighter than the real one."""
EXAMPLES = """\
examples:
  python -m lab up                                    the app of this folder on http://localhost:7071
  python -m lab up --port 0                           on a free port
  python -m lab up --key s3cret                       functions want the key, as in Azure (header x-functions-key)
  python -m lab up --client-limit 20                  a Redis that takes 20 clients and no more
  python -m lab up --redis redis://127.0.0.1:6379/0   your own Redis
  python -m lab up --service-bus "$CONNECTION"        a real namespace, or Microsoft's emulator
  python -m lab up --without-app                      for `func start`: only what local.settings.json.example names

Settings: Values of local.settings.json.example, then local.settings.json, then the environment, then what this command
starts (REDIS_URL, ServiceBusConnection, ORDERS_QUEUE)."""


class StopAsked(Exception):
    """A signal came while things were starting."""


class StartError(RuntimeError):
    """Something did not start; the message says what, and what to do."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `up`."""
    parser = commands.add_parser(
        "up",
        help="the app with a Valkey and a Service Bus of its own, until Ctrl-C",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=7071, help="of the app on 127.0.0.1; 0 picks a free one (default: 7071)"
    )
    parser.add_argument("--app", type=Path, default=ROOT, metavar="DIR", help="the folder with function_app.py")
    parser.add_argument("--redis", metavar="URL", help="use this Redis instead of starting one")
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
        "--client-limit", type=at_least_one, metavar="N", help="clients the started Redis takes (default: 10000)"
    )
    parser.add_argument("--state", type=Path, default=DEFAULT_PATH, metavar="FILE", help="where to note what runs")
    parser.set_defaults(run=run)


def at_least_one(text: str) -> int:
    """A number of clients. Raises ArgumentTypeError."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of clients: 1 or more")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Start everything, show it, wait for a signal, end everything; returns the exit code."""
    console = Console(highlight=False)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with Lab(options, InvocationLog(console), stopping) as lab:
            lab.start()
            introduce(console, lab, options)
            code = watch(console, lab, stopping)
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
        self.children: dict[str, Child] = {}
        self.served: dict[str, Any] = {}
        self.state_path: Path = options.state
        self.not_ready: str | None = None

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
        self._start_service_bus()
        if not self._options.without_app:
            self._start_app(port)
        self._note()

    def _free_port(self, port: int) -> int:
        try:
            with listen(HOST, port) as listener:
                chosen: int = listener.getsockname()[1]
                return chosen
        except PortTaken as error:
            raise StartError(
                f"{error}\nDoes another lab run? End it, or choose a port (0: a free one):\n"
                '  make run ARGS="--port 7072", or python -m lab up --port 7072'
            ) from error

    def _start_redis(self) -> None:
        if self._options.redis:
            self.settings["REDIS_URL"] = self._options.redis
            return
        port = REDIS_PORT if self._options.without_app else 0
        server = RedisServer(port=port, maxclients=self._options.client_limit)
        self._cleanup.callback(server.stop)
        server.start()
        self.children["redis"] = server.child
        self.settings["REDIS_URL"] = server.url

    def _start_service_bus(self) -> None:
        if self._options.service_bus:
            self.settings[CONNECTION] = self._options.service_bus
            self.settings.setdefault(QUEUE, DEFAULT_QUEUE)
            return
        lines: queue.Queue[str] = queue.Queue()

        def on_line(line: str) -> None:
            if "bus" in self.children:
                self._log.show("bus", line)
            else:  # the first line is the connection string: not for the screen
                lines.put(line)

        port = str(BUS_PORT if self._options.without_app else 0)
        child = self._child("bus", [sys.executable, "-u", "-m", "lab.azure.service_bus", "--port", port], on_line)
        self._wait(child, lambda: not lines.empty())
        self.settings[CONNECTION] = lines.get()
        if not self.settings[CONNECTION].startswith("Endpoint="):
            raise StartError(did_not_start(child))
        self.settings[QUEUE] = DEFAULT_QUEUE  # the one its shipped Config.json has
        self.children["bus"] = child

    def _start_app(self, port: int) -> None:
        folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lab-up-")))
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
            answer = httpx.get(f"{self.served['url']}/api/health/ready", timeout=START_S)
        except httpx.TransportError:
            return False
        self.not_ready = why_not_ready(answer)
        return True

    def _child(self, name: str, words: list[str], on_line: Callable[[str], None]) -> Child:
        env = {**self.settings, KEY_SETTING: self._options.key or ""}
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
        state = LabState(
            pid=os.getpid(),
            url=self.served.get("url", ""),
            queue=self.settings[QUEUE],
            redis_url=self.settings["REDIS_URL"],
            service_bus=self.settings[CONNECTION],
            pids={name: child.pid for name, child in self.children.items()},
        )
        write_state(state, path)
        self._cleanup.callback(remove_state, path, state.pid)


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


def watch(console: Console, lab: Lab, stopping: threading.Event) -> int:
    """Wait for a signal; say loudly when something dies. Returns 1 if the app itself died, else 0."""
    missing: set[str] = set()
    while not stopping.wait(WATCH_S):
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


def introduce(console: Console, lab: Lab, options: argparse.Namespace) -> None:
    """Tell a person what runs where and how to end it."""
    for line in (*functions(lab, options), "", *places(lab, options)):
        console.print(line, markup=False, soft_wrap=True)
    for name, reason in lab.served.get("errors", {}).items():
        console.print(Text(f"{name} is not served: {reason}", style="bold red"), soft_wrap=True)
    where = "for an app on another host" if options.without_app else f"on {lab.served['url']}"
    console.print(f"\nReady {where} - Ctrl-C ends it all.", style="bold green", soft_wrap=True)
    if lab.not_ready is not None:
        console.print(
            Text(f"The app itself says that it is NOT READY: {lab.not_ready}", style="bold red"), soft_wrap=True
        )


def functions(lab: Lab, options: argparse.Namespace) -> Iterator[Text]:
    """One line per function."""
    for served in lab.served.get("http", []):
        methods = " ".join(served["methods"]) or "any method"
        line = Text(f"{served['name']:<14} ", style="bold")
        line.append(f"{methods:<6} {served['url']}", style="not bold cyan")
        yield line.append(f"  {auth(served['auth_level'], options.key)}", style="not bold dim")
    for served in lab.served.get("service_bus", []):
        line = Text(f"{served['name']:<14} ", style="bold")
        yield line.append(f"queue  {served['entity']}", style="not bold magenta")


def places(lab: Lab, options: argparse.Namespace) -> Iterator[str]:
    """Where the parts are, without their secrets."""
    redis = urlsplit(lab.settings["REDIS_URL"])
    limit = f", at most {options.client_limit} clients" if options.client_limit else ""
    yield f"Redis          {redis.hostname}:{redis.port or 6379}{limit}"
    yield f"Service Bus    {endpoint(lab.settings[CONNECTION])}, queue '{lab.settings[QUEUE]}'"
    where = "" if lab.state_path == DEFAULT_PATH else f" --state {lab.state_path}"
    command = f"{python()} -m lab"
    yield f"by hand        {command} enqueue{where} BODY, {command} dead-letters{where} (in a second terminal)"
    if lab.served.get("docs"):
        yield f"API            {lab.served['docs']} (to read and to try)"
    if options.key:
        yield "key            goes into the header x-functions-key"


def python() -> str:
    """The interpreter that has the lab's packages, as one types it in the project's folder."""
    own = Path(sys.executable)
    return str(own.relative_to(ROOT)) if own.is_relative_to(ROOT) else str(own)


def auth(level: str, key: str | None) -> str:
    """What a caller needs, in words."""
    if level == "ANONYMOUS":
        return "anyone"
    return "key" if key else "key (not asked for without --key)"
