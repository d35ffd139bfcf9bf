"""`python -m lab dead-letters` on a queue of letters of every kind: what it lists, what it copies, what it leaves."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from lab.__main__ import main
from lab.azure.dead_letters import NotRemoved, Outcome, peek, take
from lab.azure.letter import Letter
from lab.azure.raw_messages import keeping_bytes, send_bytes
from lab.azure.service_bus import Broker
from lab.azure.service_bus import message as wire
from lab.azure.service_bus.amqp_types import Char, Float32, Int, Symbol, Timestamp, UByte, UInt, ULong
from lab.azure.service_bus.codec import CodecError
from tests.integration.lab.azure.conftest import QUEUES, Bus
from tests.integration.lab.azure.service_bus.clock import Clock

BODIES = {
    "data": wire.section(wire.DATA, b"\x00\xff"),
    "data in parts": wire.section(wire.DATA, b"one") + wire.section(wire.DATA, b"two"),
    "map": wire.section(wire.VALUE, {"order_id": "o-1", "n": Int(5)}),
    "text": wire.section(wire.VALUE, "text"),
    "bytes": wire.section(wire.VALUE, b"bytes"),
    "number": wire.section(wire.VALUE, 0),
    "nothing": wire.section(wire.VALUE, None),
    "character": wire.section(wire.VALUE, Char("x")),  # the SDK (7.15) cannot decode it
    "sequence": wire.section(wire.SEQUENCE, [1, "two"]) + wire.section(wire.SEQUENCE, [Symbol("three")]),
}
TYPED = {
    "time": Timestamp(1_700_000_000_123),
    "long": 2**40,
    "int": Int(7),
    "unsigned": UInt(7),
    "unsigned long": ULong(2**63),
    "text": "é",
    "symbol": Symbol("s"),
    "bytes": b"\xff\x00",
    "uuid": uuid.UUID(int=7),
    "nothing": None,
    "half": Float32(0.5),
    "character": Char("x"),
}
# In the order of the specification: to, subject, reply_to, correlation_id, content_type and so on.
FIELDS = [b"user", "to", "subject", "reply", ULong(9), Symbol("text/x"), Symbol("gzip"), None, None, None, UInt(3), "g"]


def encoded(name: str, body: bytes, application: Mapping[str, Any] = TYPED) -> bytes:
    header = wire.section(wire.HEADER, [True, UByte(4), UInt(3_600_000)])
    notes = wire.section(wire.ANNOTATIONS, {Symbol("x-opt-partition-key"): "p", Symbol("x-own"): Int(1)})
    return (
        header
        + notes
        + wire.section(wire.PROPERTIES, [name, *FIELDS])
        + wire.section(wire.APPLICATION, dict(application))
        + body
    )


async def bury(bus: Bus, letters: Sequence[bytes | ServiceBusMessage], queue: str = "orders") -> None:
    """Put messages among the dead letters, in this order."""
    async with (
        bus.client.get_queue_sender(queue) as sender,
        bus.client.get_queue_receiver(queue) as receiver,
    ):
        with keeping_bytes():
            for raw in letters:
                if isinstance(raw, bytes):
                    await send_bytes(sender, raw, ServiceBusMessage(None, message_id=str(uuid.uuid4())), 10)
                else:
                    await sender.send_messages(raw, timeout=10)
                (message,) = await receiver.receive_messages(max_message_count=1, max_wait_time=10)
                await receiver.dead_letter_message(message, reason="Poison", error_description="no good")
    await bus.until(queue, dead=len(letters))


async def messages(bus: Bus, queue: str = "orders", *, dead: bool = False) -> list[Letter]:
    """What lies there."""
    receiver: ServiceBusReceiver = bus.client.get_queue_receiver(
        queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER if dead else None
    )
    with keeping_bytes():
        async with receiver:
            return await peek(receiver, 100)


async def run(bus: Bus, *words: str, queue: str = "orders") -> int:
    """The command, in a thread as it runs a loop of its own."""
    command = ["dead-letters", "--service-bus", bus.broker.connection_string, "--queue", queue, *words]
    return await asyncio.to_thread(main, command)


@pytest.mark.parametrize("application", [TYPED, {name: TYPED[name] for name in TYPED if name != "character"}])
async def test_a_replay_keeps_body_and_every_property_with_its_amqp_type(bus: Bus, application: dict[str, Any]) -> None:
    await bury(bus, [encoded(name, body, application) for name, body in BODIES.items()])
    assert await run(bus, "--replay") == 0
    assert bus.broker.stats("orders")["dead"] == 0
    for letter, (name, body) in zip(await messages(bus), BODIES.items(), strict=True):
        found, sent = wire.sections(letter.raw), wire.sections(encoded(letter.message_id, body, application))
        assert letter.message_id != name
        broker_s = {wire.HEADER, wire.ANNOTATIONS}
        assert {code: raw for code, raw in found.items() if code not in broker_s} == {
            code: raw for code, raw in sent.items() if code not in broker_s
        }
        copied = wire.Message(letter.raw)
        assert (copied.header[:3], copied.annotations[Symbol("x-own")]) == ([True, 4, 3_600_000], 1)
        assert copied.annotations[Symbol("x-opt-partition-key")] == "p"


async def test_a_list_shows_every_letter_with_kind_and_size_of_odd_bodies(
    bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    await bury(bus, [encoded(name, body) for name, body in BODIES.items()])
    assert await run(bus) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in (*BODIES, "Poison", "no good", "onetwo"))
    assert all(word in shown for word in ("VALUE dict, ", "VALUE NoneType, ", "SEQUENCE, ", "['three']"))


async def test_what_cannot_be_copied_is_named_and_left_and_those_behind_it_go(
    bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    full = ServiceBusMessage(b"x" * (256 * 1024 - 100), message_id="full")  # no room for a longer MessageId
    await bury(bus, [full, encoded("small", BODIES["text"])])
    assert await run(bus, "--replay") == 1
    shown = capsys.readouterr()
    assert "left: full: not sent: " in shown.err
    assert "Sent 1 of 2 back" in shown.out
    assert [letter.message_id for letter in await messages(bus, dead=True)] == ["full"]


async def test_a_letter_whose_copy_is_not_confirmed_stays(bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    await bury(bus, [encoded(name, BODIES["text"]) for name in ("a", "b")], "small")
    await bus.send("in the way", queue="small")  # the queue takes three, dead letters included
    assert await run(bus, "--replay", queue="small") == 1
    shown = capsys.readouterr()
    assert "error: The queue is full." in shown.err
    assert "Sent 0 of 2 back" in shown.out
    assert [letter.message_id for letter in await messages(bus, "small", dead=True)] == ["a", "b"]


async def test_those_behind_a_letter_that_stays_go_though_its_lock_runs_out_meanwhile() -> None:
    clock, outcome = Clock(), Outcome()

    async def act(letter: Letter) -> None:
        clock.ahead_s += 20  # of the 30 s that a lock lasts
        if letter.message_id in "ac":
            raise NotRemoved("it cannot be copied")

    with Broker(QUEUES, clock=clock) as broker:
        async with ServiceBusClient.from_connection_string(broker.connection_string) as client:
            await bury(Bus(broker, client), [encoded(name, BODIES["text"]) for name in "abcd"])
            with keeping_bytes():
                async with client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
                    await take(receiver, await peek(receiver, 10), act, outcome)
    assert [letter.message_id for letter in outcome.done] == ["b", "d"]


async def test_only_the_chosen_letters_are_replayed_and_the_others_can_be_taken_at_once(bus: Bus) -> None:
    await bury(bus, [encoded(name, BODIES["text"]) for name in ("a", "b", "c")])
    assert await run(bus, "--replay", "--only", "b") == 0
    assert [letter.message_id for letter in await messages(bus, dead=True)] == ["a", "c"]
    assert await run(bus, "--replay") == 0
    assert bus.broker.stats("orders")["active"] == 3


async def test_an_id_that_no_letter_has_changes_nothing(bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    await bury(bus, [encoded("a", BODIES["text"])])
    assert await run(bus, "--replay", "--only", "a", "b") == 1
    assert "No dead letter has the MessageId b: nothing was changed." in capsys.readouterr().err
    assert len(await messages(bus, dead=True)) == 1


def kept_in(folder: Path) -> list[dict[str, str]]:
    (file,) = folder.iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_discarding_needs_consent_and_writes_the_whole_message_to_a_file_first(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    await bury(bus, [encoded(name, BODIES["character"]) for name in ("a", "b")])
    raw = (await messages(bus, dead=True))[0].raw
    assert await run(bus, "--discard", "a") == 1
    assert "Nothing was discarded" in capsys.readouterr().err
    assert await run(bus, "--discard", "a", "--yes") == 0
    assert await run(bus, "--discard", "b", "--yes", "--to", __file__) == 1  # never written over
    (written,) = kept_in(tmp_path)
    assert (written["message_id"], written["reason"]) == ("a", "Poison")
    assert base64.b64decode(written["amqp"]) == raw
    assert [letter.message_id for letter in await messages(bus, dead=True)] == ["b"]
    assert bus.broker.stats("orders")["active"] == 0


def test_bytes_that_are_no_message_are_listed_as_unreadable_and_never_copied() -> None:
    letter = Letter(b"\x00\x53\x77\xa1\xff")
    assert (letter.message_id, letter.text) == ("number 0", "UNREADABLE, 5 bytes")
    with pytest.raises(CodecError):
        letter.copy("id", 0)
