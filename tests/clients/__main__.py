"""`make clients`: every queue operation, on the clients that people have installed.

Makes an environment for each under build/clients (the packages come from PyPI and npm), runs all of them at once
against the local Service Bus and prints the matrix. Exit code 1 when an operation failed.
"""

# ruff: noqa: T201  # it speaks to a person

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab.azure.service_bus import LocalServiceBus, QueueConfig
from tests import ROOT
from tests.integration.lab.azure.service_bus.certificate import make_certificate

HERE, BUILD = Path(__file__).parent, ROOT / "build" / "clients"
MINORS = ("7.11", "7.12", "7.13", "7.14", "7.15")
TLS_ONLY = MINORS[:3]  # they know no UseDevelopmentEmulator, and TLS means port 5671
AMQPS_PORT = 5671
JAVASCRIPT = "@azure/service-bus"
QUEUE = QueueConfig(lock_duration_s=5, default_ttl_s=3600, duplicate_window_s=60)
DEADLINE_S = 300.0


@dataclass(frozen=True)
class Client:
    """A column of the matrix. `command` takes a connection string and a queue before `arguments`."""

    name: str
    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    tls: bool = False

    @property
    def queue(self) -> str:
        return self.name.replace(" ", "-")

    def run(self, connection_string: str, certificate: str, folder: Path = BUILD) -> dict[str, str | None]:
        """{operation: what went wrong, None if nothing did}. Raises CalledProcessError, TimeoutExpired."""
        done = subprocess.run(
            [*self.command, connection_string, self.queue, *self.arguments],
            env=os.environ | ({"SSL_CERT_FILE": certificate} if self.tls else {}),
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["operation"]: line["error"] for line in lines}


def python_clients(minor: str) -> list[Client]:
    """The sync and the aio client of the newest azure-servicebus of a minor version, installed."""
    folder = BUILD / minor
    python = folder / "bin" / "python"
    uv = [str(Path(sys.executable).with_name("uv"))]
    if not python.exists():
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([*uv, "pip", "install", "-q", "--python", python, f"azure-servicebus=={minor}.*"], check=True)
    command = (str(python), str(HERE / "operations.py"))
    return [Client(f"{minor} {kind}", command, (kind,), minor in TLS_ONLY) for kind in ("sync", "aio")]


def javascript_clients() -> list[Client]:
    """The newest @azure/service-bus, installed; none where node is not."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print("node or npm is not on PATH: JavaScript is left out")
        return []
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", f"{JAVASCRIPT}@latest"], cwd=BUILD, check=True
    )
    version = json.loads((BUILD / "node_modules" / JAVASCRIPT / "package.json").read_text())["version"]
    return [Client(f"js {version}", (node, str(HERE / "operations.mjs")))]


def run_all(clients: list[Client]) -> list[dict[str, str | None]]:
    """What each client made of each operation, all of them at once."""
    queues = {client.queue: QUEUE for client in clients}
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = map(str, make_certificate(Path(folder)))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        with (
            LocalServiceBus(queues) as plain,
            LocalServiceBus(queues, port=AMQPS_PORT, ssl_context=context) as secure,
            ThreadPoolExecutor(len(clients)) as pool,
        ):
            buses = [secure if client.tls else plain for client in clients]
            running = [
                pool.submit(c.run, b.connection_string, certificate) for c, b in zip(clients, buses, strict=True)
            ]
            return [one.result() for one in running]


def matrix(clients: list[Client], results: list[dict[str, str | None]]) -> list[str]:
    """A Markdown table, then what failed, then the count."""
    operations = list(results[0])
    lines = [f"| operation | {' | '.join(client.name for client in clients)} |", "|---" * (len(clients) + 1) + "|"]
    for operation in operations:
        marks = ["passed" if result[operation] is None else "FAILED" for result in results]
        lines.append(f"| {operation.replace('_', ' ')} | {' | '.join(marks)} |")
    failures = [
        f"{client.name}: {operation}: {error}"
        for client, result in zip(clients, results, strict=True)
        for operation, error in result.items()
        if error is not None
    ]
    total = len(operations) * len(clients)
    count = f"{total - len(failures)} of {total} operations passed: {len(operations)} on each of {len(clients)} clients"
    return [*lines, *failures, count]


def main() -> int:
    clients = [client for minor in MINORS for client in python_clients(minor)] + javascript_clients()
    results = run_all(clients)
    print("\n".join(matrix(clients, results)))
    return int(any(error is not None for result in results for error in result.values()))


if __name__ == "__main__":
    sys.exit(main())
