"""What other clients than the pinned SDK ask for, frame by frame: properties to modify, PLAIN, sessions and filters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lab.azure.service_bus import LocalServiceBus, QueueConfig
from lab.azure.service_bus import performatives as amqp
from lab.azure.service_bus.amqp_types import Described, Symbol, UInt, ULong
from lab.azure.service_bus.connection import AMQP_HEADER, SASL_HEADER
from lab.azure.service_bus.message import APPLICATION, Message, sections
from tests.integration.lab.azure.service_bus.peer import (
    Peer,
    attaching,
    beginning,
    flowing,
    frame,
    message,
    opening,
    request,
    sending,
)

CHANGES = {Symbol("why"): "busy"}
REASONS = {Symbol("DeadLetterReason"): "Bad", Symbol("why"): "busy"}
FILTERS = [("com.microsoft:session-filter", "amqp:not-allowed"), ("apache.org:selector-filter", "amqp:not-implemented")]


@pytest.fixture
async def bus(closed_peers: None) -> AsyncIterator[LocalServiceBus]:
    async with LocalServiceBus({"orders": QueueConfig()}, require_tokens=False) as broker:
        yield broker


def settling(number: int, state: Described) -> bytes:
    return frame(amqp.pack(amqp.DISPOSITION, True, UInt(number), None, False, state))


def stored(bus: LocalServiceBus, queue: str = "orders") -> dict[str, Any]:
    """The application properties of the one message there."""
    (entry,) = bus._service.queues[queue].peek(0, 10)
    assert bus._service.queues[queue].bytes == entry.size
    return entry.content.application()


@pytest.mark.parametrize(
    ("outcome", "queue"),
    [
        (amqp.state(amqp.MODIFIED, None, None, CHANGES), "orders"),
        (amqp.state(amqp.MODIFIED, None, True, CHANGES), "orders"),
        (
            amqp.state(amqp.REJECTED, Described(ULong(amqp.ERROR), [Symbol("x"), None, REASONS])),
            "orders/$deadletterqueue",
        ),
    ],
    ids=["abandoned", "deferred", "dead-lettered"],
)
async def test_properties_to_modify_are_merged(bus: LocalServiceBus, outcome: Described, queue: str) -> None:
    peer = await Peer.begin(bus, attaching("orders"), sending(message()), attaching("orders", 1, receiver=True))
    await peer.say(flowing(1, 1))
    await peer.hear(amqp.TRANSFER)
    await peer.say(settling(1, outcome))
    while (await peer.hear(amqp.DISPOSITION))[0] is not amqp.SENDER:
        pass
    assert stored(bus, queue) == {"why": "busy"}


@pytest.mark.parametrize(("size", "status"), [(10, 200), (200, 400)])
async def test_properties_to_modify_of_a_request_are_merged_unless_they_are_too_large(
    bus: LocalServiceBus, size: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.azure.service_bus.message.MAX_APPLICATION", 100)
    await (await Peer.begin(bus, attaching("orders"), sending(message()))).hear(amqp.DISPOSITION)
    entry = bus._service.queues["orders"].receive()
    assert entry is not None
    body = {"disposition-status": "abandoned", "lock-tokens": [entry.lock_token]}
    wanted = request("com.microsoft:update-disposition", body | {"properties-to-modify": {"why": "x" * size}})
    peer = await Peer.begin(bus, attaching("orders/$management", 1, receiver=True), flowing(1, 5))
    await peer.say(attaching("orders/$management"), sending(wanted))
    _, payload = await peer.hear_with_payload(amqp.TRANSFER)
    assert Message(payload).application()["statusCode"] == status
    assert stored(bus) == ({"why": "x" * size} if status == 200 else {})


async def test_a_peeked_message_comes_without_its_body_if_so_asked(bus: LocalServiceBus) -> None:
    peer = await Peer.begin(bus, attaching("orders"), sending(message(b"x" * 100)), attaching("orders/$management", 1))
    body = {"from-sequence-number": 0, "message-count": 1, "omit-message-body": True}
    await peer.say(sending(request("com.microsoft:peek-message", body), 1, 1))
    await peer.say(attaching("orders/$management", 2, receiver=True), flowing(2, 5))
    _, payload = await peer.hear_with_payload(amqp.TRANSFER)
    (peeked,) = Message(payload).value()["messages"]
    assert b"x" * 100 not in peeked["message"]
    assert APPLICATION not in sections(peeked["message"])


@pytest.mark.parametrize(("name", "condition"), FILTERS)
async def test_a_receiver_with_a_filter_is_refused(bus: LocalServiceBus, name: str, condition: str) -> None:
    """Without sessions and filters it would get messages it did not ask for."""
    source = Described(ULong(0x28), ["orders", *[None] * 6, {Symbol(name): Described(ULong(0x137000000C), "s1")}])
    attach = ["r", UInt(0), True, None, None, source, Described(ULong(0x29), ["orders"])]
    peer = await Peer.begin(bus, frame(amqp.pack(amqp.ATTACH, *attach)))
    assert await peer.condition(amqp.DETACH) == condition


@pytest.mark.parametrize(("answer", "code"), [(b"\0key\0secret", 0), (b"\0key\0", 1), (b"", 1), (None, 1)])
async def test_plain_opens_the_whole_namespace_with_the_name_of_a_key_and_a_key(
    closed_peers: None, answer: bytes | None, code: int
) -> None:
    async with LocalServiceBus({"orders": QueueConfig()}, require_tokens=True) as bus:
        signing_in = frame(amqp.pack(amqp.SASL_INIT, Symbol("PLAIN"), answer), kind=1)
        peer = await Peer.connect(bus, SASL_HEADER)
        await peer.reader.readexactly(8)
        await peer.say(signing_in)
        assert (await peer.hear(amqp.SASL_OUTCOME))[0] == code
        await peer.say(AMQP_HEADER, opening(), beginning(), attaching("orders"))
        assert (await peer.hear(amqp.ATTACH))[5] == (Described(ULong(0x28), ["orders"]) if code == 0 else None)
