"""Half of the messages sent to the real host's queues, sent to the lab's: the functions get the same."""

from __future__ import annotations

import ast
import contextlib
import json
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from lab.azure.service_bus import Broker, QueueConfig
from tests.integration.lab.azure.real_host.hosts import host, write_probe
from tests.integration.lab.azure.real_host.recorded_cases import judge, lines, text
from tests.waiting import until

TYPED = {"sb4": "q4", "sb8": "q8"}  # functions whose parameter is annotated str and bytes
TYPED_BODIES = (b"hello", b'{"a": 1}', b"", b"\xff\x00", b"\xc3\xa9")
CHANGING = (  # what tells a run's times, places and numbers; a message without an id was given one
    "EnqueuedTimeUtc", "EnqueuedTime", "LockToken", "SequenceNumber", "Client", "ExpiresAtUtc", "ExpiresAt",
)  # fmt: skip
NO_ID = "bm9pZA=="  # "noid", the body of the one message without an id
FIELDS = (
    "get_body", "content_type", "correlation_id", "subject", "to", "reply_to", "reply_to_session_id", "session_id",
    "partition_key", "time_to_live", "scheduled_enqueue_time_utc", "delivery_count", "user_properties", "ap_types",
    "state", "dead_letter_reason", "dead_letter_source",
)  # fmt: skip


def sent_messages() -> list[Any]:
    """What was sent to q1, in order."""
    names: dict[str, Any] = {}
    exec(compile(text("messages.py"), "messages.py", "exec"), names)  # noqa: S102 - our own recorded script
    messages: list[Any] = names["M"]
    return messages


async def test_a_message_reaches_its_function_as_on_the_real_host(tmp_path: Path) -> None:
    folder, out = tmp_path / "app", tmp_path / "out.jsonl"
    write_probe(folder)
    with Broker({f"q{number}": QueueConfig(max_delivery_count=2) for number in range(1, 10)}) as broker:
        settings = {"ServiceBusConnection": broker.connection_string, "Q9NAME": "q9", "PROBE_OUT": str(out)}
        await send(broker)
        with host(folder, settings) as running:
            assert running.port, running.child.tail()
            queues = ("q1", *TYPED.values())
            await until(lambda: all(broker.stats(queue)["active"] == 0 for queue in queues), 60)
    given = [json.loads(line) for line in out.read_text().split("\n") if line]
    recorded = [line for line in lines("messages.jsonl") if line["function"] in ("sb1", *TYPED)]
    judge("messages", compare(recorded, given), {name(line) for line in recorded})


async def send(broker: Broker) -> None:
    async with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        for message in sent_messages():
            with contextlib.suppress(ServiceBusError):  # one has a time to live that this SDK cannot write
                async with client.get_queue_sender("q1") as sender:
                    await sender.send_messages(message)
        for queue in TYPED.values():
            async with client.get_queue_sender(queue) as sender:
                await sender.send_messages([ServiceBusMessage(body) for body in TYPED_BODIES])


def name(line: dict[str, Any]) -> str:
    """A case's name: the message id that the function saw, or what the typed parameter held."""
    shown: str = line["got"] if "got" in line else line["message_id"]
    if line.get("get_body") == NO_ID:  # it was given a random one
        shown = "no id"
    return f"{line.get('function', line.get('fn'))} {shown}"


def compare(recorded: list[dict[str, Any]], given: list[dict[str, Any]]) -> dict[str, str]:
    """Case -> difference."""
    seen = {name(line): line for line in given}
    differences = {}
    for line in recorded:
        case = name(line)
        if case not in seen:
            differences[case] = "it never reached its function"
            continue
        shown = {key: (line[key], seen[case].get(key)) for key in FIELDS if line.get(key) != seen[case].get(key)}
        metadata = [stable(each.get("metadata")) for each in (line, seen[case])]
        if shown or metadata[0] != metadata[1]:
            differences[case] = f"{shown} {metadata if metadata[0] != metadata[1] else ''}"
    known = {name(line) for line in recorded}
    unknown = [case for case in seen if case.startswith("sb1 str:'v_") and case not in known]
    return differences | dict.fromkeys(unknown, "a body that never reached a function there")


def stable(metadata: str | None) -> dict[str, Any]:
    """A message's metadata without what changes from run to run."""
    shown = ast.literal_eval(metadata.removeprefix("dict:")) if metadata else {}
    shown.pop("MessageId", None)  # it is in the case's name
    return {key: value for key, value in shown.items() if key not in CHANGING}
