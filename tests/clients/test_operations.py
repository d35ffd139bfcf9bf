"""The pinned azure-servicebus does every operation that `make clients` asks of all of them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from lab.azure.service_bus import LocalServiceBus
from tests.clients.__main__ import QUEUE, Client, matrix
from tests.clients.operations import OPERATIONS

KINDS = ("sync", "aio")
CLIENTS = [Client(kind, (sys.executable, str(Path(__file__).with_name("operations.py"))), (kind,)) for kind in KINDS]


async def test_the_pinned_sdk_does_every_operation(tmp_path: Path) -> None:
    with LocalServiceBus({client.queue: QUEUE for client in CLIENTS}) as bus:
        runs = (asyncio.to_thread(client.run, bus.connection_string, "", tmp_path) for client in CLIENTS)
        results = await asyncio.gather(*runs)
    everything = {operation.__name__: None for operation in OPERATIONS}
    assert results == [everything, everything]


def test_the_last_line_counts_what_passed_and_what_failed() -> None:
    lines = matrix(CLIENTS, [{"send": None, "peek": None}, {"send": None, "peek": "no message came"}])
    assert lines[3:] == [
        "| peek | passed | FAILED |",
        "aio: peek: no message came",
        "3 of 4 operations passed: 2 on each of 2 clients",
    ]
