"""Broken and hostile peers: none takes the broker down, makes it grow, or is served what it may not have."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.azure.service_bus import Broker, QueueConfig, connection
from lab.azure.service_bus import performatives as amqp
from lab.azure.service_bus.amqp_types import Described, Symbol, Timestamp, UInt, ULong
from lab.azure.service_bus.connection import AMQP_HEADER, SASL_HEADER
from lab.azure.service_bus.limits import LINK_CREDIT, MAX_LINKS, MAX_PARTIALS, MAX_SESSIONS, MAX_WAITING, WRITE_BUFFER
from lab.azure.service_bus.message import APPLICATION, PROPERTIES, VALUE, section
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
from tests.logged import logged
from tests.waiting import until

CONVERSATION = b"".join(
    (
        SASL_HEADER,
        frame(amqp.pack(amqp.SASL_INIT, Symbol("ANONYMOUS")), kind=1),
        AMQP_HEADER,
        opening(),
        beginning(),
        attaching("orders"),
        sending(message()),
        attaching("orders", 1, receiver=True),
        flowing(1, 5),
        attaching("orders/$management", 2, receiver=True),
        flowing(2, 5),
        attaching("orders/$management", 3),
        sending(request("com.microsoft:peek-message", {"from-sequence-number": 0, "message-count": 5}), 1, 3),
        frame(amqp.pack(amqp.DISPOSITION, True, UInt(1), UInt(1), False, amqp.state(amqp.ACCEPTED))),
        frame(amqp.pack(amqp.DETACH, UInt(1), True)),
        frame(amqp.pack(amqp.END)),
        frame(amqp.pack(amqp.CLOSE)),
    )
)


@pytest.fixture
async def bus(closed_peers: None, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Broker]:
    """A broker on the test's loop that must have met nothing it did not foresee."""
    async with Broker({"orders": QueueConfig(max_messages=10_000)}) as broker:
        yield broker
        assert [record.message for record in logged(caplog) if record.levelname == "ERROR"] == []


def connections(bus: Broker) -> list[connection.Connection]:
    return [peer for peer in bus._service.connections if isinstance(peer, connection.Connection)]


@pytest.fixture(scope="module")
def shared() -> Iterator[Broker]:
    with Broker({"orders": QueueConfig(max_messages=10_000)}) as broker:
        yield broker


def throw(broker: Broker, raw: bytes) -> bytes:
    """Send bytes, then hear what comes until the broker has nothing more to say."""
    heard = b""
    address = broker.host, broker.port
    with contextlib.suppress(ConnectionError), socket.create_connection(address, timeout=5) as peer:
        peer.sendall(raw)
        peer.shutdown(socket.SHUT_WR)
        while more := peer.recv(65536):
            heard += more
    return heard


def test_the_conversation_that_gets_mutated_is_itself_understood(shared: Broker) -> None:
    heard = throw(shared, CONVERSATION)
    assert b"framing-error" not in heard
    assert shared.stats("orders")["completed"] == 1


HURRIED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@HURRIED
@given(raw=st.binary(max_size=400), greeting=st.sampled_from([b"", AMQP_HEADER, AMQP_HEADER + opening() + beginning()]))
def test_random_bytes_break_nothing(
    shared: Broker, caplog: pytest.LogCaptureFixture, raw: bytes, greeting: bytes
) -> None:
    throw(shared, greeting + raw)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@HURRIED
@given(st.data())
def test_a_mutated_conversation_breaks_nothing(
    shared: Broker, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    raw = bytearray(CONVERSATION)
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(8, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(8, len(raw) - 1)) :]
    throw(shared, bytes(raw))
    assert shared.stats("orders")["active"] >= 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_after_all_that_nothing_is_left_open(shared: Broker) -> None:
    for _ in range(10):
        throw(shared, CONVERSATION[:100])
    heard = throw(shared, CONVERSATION)
    assert b"framing-error" not in heard


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"AMQP\x00\x00\x09\x01",
        AMQP_HEADER + b"\x7f\xff\xff\xff\x02\x00\x00\x00",
        AMQP_HEADER + b"\x00\x00\x00\x04\x02\x00\x00\x00",
        AMQP_HEADER + b"\x00\x00\x00\x08\x09\x00\x00\x00",
        AMQP_HEADER + beginning(),
        AMQP_HEADER + opening() + opening(),
        AMQP_HEADER + opening() + frame(b"\x00" * 5000),
        AMQP_HEADER + opening() + frame(amqp.pack(0x99)),
        AMQP_HEADER + opening() + beginning() + beginning(),
        AMQP_HEADER + opening() + beginning() + attaching("orders") * 2,
        AMQP_HEADER + opening() + beginning() + attaching("orders", MAX_LINKS),
        AMQP_HEADER + opening() + beginning() + attaching("orders") + sending(b"x", more=True) + sending(b"x", 1),
        AMQP_HEADER + opening() + beginning() + attaching("orders") + sending(message()) + sending(message(), 5),
    ],
    ids=[
        "HTTP",
        "another AMQP",
        "huge frame",
        "tiny frame",
        "data offset",
        "before open",
        "open twice",
        "descriptors",
        "unknown performative",
        "channel twice",
        "handle twice",
        "handle too high",
        "mixed deliveries",
        "skipped delivery-id",
    ],
)
async def test_a_broken_rule_ends_the_connection_and_no_other(bus: Broker, raw: bytes) -> None:
    other = await Peer.begin(bus)
    broken = await Peer.connect(bus, raw)
    assert await broken.ended()
    await other.say(attaching("orders"))
    assert await other.hear(amqp.ATTACH)


@pytest.mark.parametrize(
    ("frames", "code", "condition"),
    [
        (
            [frame(amqp.pack(amqp.BEGIN, None, *[UInt(1)] * 3), channel + 1) for channel in range(MAX_SESSIONS)],
            amqp.CLOSE,
            "amqp:connection:framing-error",
        ),
        (
            [attaching("orders", n) + sending(b"x", n, n, more=True) for n in range(MAX_PARTIALS + 1)],
            amqp.CLOSE,
            "amqp:connection:framing-error",
        ),
        ([attaching("orders/$DeadLetterQueue")], amqp.DETACH, "amqp:not-allowed"),
    ],
    ids=["sessions", "messages under way at once", "sending to a dead-letter queue"],
)
async def test_what_is_bounded_or_not_allowed_is_refused_with_its_condition(
    bus: Broker, frames: list[bytes], code: int, condition: str
) -> None:
    peer = await Peer.begin(bus, *frames)
    assert await peer.condition(code) == condition


async def test_connections_are_bounded(closed_peers: None) -> None:
    async with Broker({"orders": QueueConfig()}, max_connections=1) as bus:
        first = await Peer.begin(bus)
        await first.hear(amqp.BEGIN)
        second = await Peer.connect(bus)
        assert await second.ended()
        assert bus.connections == 1


async def test_a_peer_that_says_nothing_is_dropped(bus: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_S", 0.1)
    peer = await Peer.connect(bus)
    assert await peer.ended()


async def test_more_messages_than_credit_end_the_connection(bus: Broker) -> None:
    bus.faults.delay_confirmations(60)
    peer = await Peer.begin(bus, attaching("orders"))
    await peer.say(*(sending(message(), number) for number in range(LINK_CREDIT + 1)))
    assert await peer.condition(amqp.CLOSE) == "amqp:connection:framing-error"
    assert bus.stats("orders")["active"] == LINK_CREDIT


async def test_a_finished_aborted_or_detached_message_is_no_longer_under_way(bus: Broker) -> None:
    peer = await Peer.begin(bus, attaching("orders"))
    for number in range(0, 3 * MAX_PARTIALS, 3):
        abort = frame(
            amqp.pack(amqp.TRANSFER, UInt(0), UInt(number + 1), None, None, None, False, None, None, None, True)
        )
        await peer.say(sending(message()[:5], number, more=True), sending(message()[5:], number))
        await peer.say(sending(b"x", number + 1, more=True), abort)
        await peer.say(sending(b"x", number + 2, more=True), frame(amqp.pack(amqp.DETACH, UInt(0), True)))
        await peer.hear(amqp.DETACH)
        await peer.say(attaching("orders"))
    assert bus.stats("orders")["active"] == MAX_PARTIALS
    assert not any(peer.partials for peer in connections(bus))


async def test_a_message_on_its_way_while_its_link_is_detached_breaks_nothing(bus: Broker) -> None:
    peer = await Peer.begin(bus, attaching("orders"), sending(message(), 0))
    await peer.hear(amqp.DISPOSITION)
    bus.faults.detach_links()
    await peer.say(sending(message(), 1), attaching("orders", 1), sending(message(), 2, 1))
    assert (await peer.hear(amqp.DISPOSITION))[1] == 2


async def test_an_endless_message_is_refused_without_being_kept(bus: Broker) -> None:
    peer = await Peer.begin(bus, attaching("orders"))
    for _ in range(100):
        await peer.say(sending(b"x" * 60_000, more=True))
    links = list(bus._service.links)
    assert all(link.partial is None or len(link.partial.raw) <= 256 * 1024 for link in links)
    await peer.say(sending(b"", more=False))
    outcome = (await peer.hear(amqp.DISPOSITION))[4]
    assert outcome.value[0].value[0] == "amqp:link:message-size-exceeded"


@pytest.mark.parametrize(
    ("raw", "condition"),
    [
        *((raw, "amqp:decode-error") for raw in (b"junk", b"\x00" * 1000, section(VALUE, None) + b"\x40")),
        (message(message_id="m" * 129), "com.microsoft:argument-error"),
    ],
)
async def test_an_invalid_message_is_rejected_and_the_link_stays_usable(
    bus: Broker, raw: bytes, condition: str
) -> None:
    peer = await Peer.begin(bus, attaching("orders"), sending(raw), sending(message(), 1))
    refused, taken = await peer.hear(amqp.DISPOSITION), await peer.hear(amqp.DISPOSITION)
    assert refused[4].value[0].value[0] == condition
    assert taken[4].code == amqp.ACCEPTED


async def test_a_presettled_send_is_stored_and_not_answered(bus: Broker) -> None:
    peer = await Peer.begin(bus, attaching("orders"), sending(message(), settled=True), sending(message(), 1))
    assert (await peer.hear(amqp.DISPOSITION))[1] == 1
    assert bus.stats("orders")["active"] == 2


async def fill(bus: Broker, messages: int, size: int) -> None:
    peer = await Peer.begin(bus, attaching("orders"))
    for number in range(messages):
        await peer.say(sending(message(b"x" * size), number))
        await peer.hear(amqp.DISPOSITION)
    await peer.close()


async def test_a_receiver_that_does_not_read_is_not_fed_without_bound(bus: Broker) -> None:
    await fill(bus, 400, 60_000)
    await Peer.begin(bus, attaching("orders", receiver=True, presettled=True), flowing(0, 2**31, window=2**31))
    await until(lambda: bus.stats("orders")["completed"] > 0)
    await asyncio.sleep(0.3)
    held = [peer._transport.get_write_buffer_size() for peer in connections(bus)]
    assert max(held) < 2 * WRITE_BUFFER
    assert bus.stats("orders")["active"] > 0


async def test_a_peek_answers_with_no_more_than_a_message_may_have(bus: Broker) -> None:
    await fill(bus, 6, 60_000)
    address = "orders/$management"
    asked = request("com.microsoft:peek-message", {"from-sequence-number": 0, "message-count": 6})
    links = attaching(address, 0, receiver=True) + flowing(0, 5) + attaching(address, 1)
    peer = await Peer.begin(bus, links, sending(asked, handle=1))
    size, more = 0, True
    while more:
        fields, payload = await peer.hear_with_payload(amqp.TRANSFER)
        size, more = size + len(payload), fields[5]
    assert 240_000 < size < 256 * 1024 + 1000


async def test_a_peer_that_spoke_to_a_mute_broker_is_cut_when_the_broker_speaks_again(bus: Broker) -> None:
    spoke, quiet = await Peer.begin(bus), await Peer.begin(bus)
    for peer in (spoke, quiet):
        await peer.hear(amqp.BEGIN)
    bus.faults.mute()
    await spoke.say(attaching("orders"))
    await until(lambda: any(connected.deaf for connected in bus._service.connections))
    bus.faults.unmute()
    assert await spoke.ended()
    await quiet.say(attaching("orders"))
    assert await quiet.hear(amqp.ATTACH)


async def test_a_peer_that_asks_without_reading_is_not_read_either(bus: Broker) -> None:
    await fill(bus, 4, 60_000)
    address = "orders/$management"
    asked = request("com.microsoft:peek-message", {"from-sequence-number": 0, "message-count": 4})
    links = attaching(address, 0, receiver=True) + flowing(0, 2**31, window=2**31) + attaching(address, 1)
    peer = await Peer.begin(bus, links)

    async def ask() -> None:
        for number in range(200_000):
            await peer.say(sending(asked, number, 1))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(), 2)
    (connected,) = connections(bus)
    assert len(connected._buffer) < WRITE_BUFFER
    assert connected._transport.get_write_buffer_size() < 2 * WRITE_BUFFER


async def test_a_receiver_without_window_gets_nothing_until_it_opens_it(bus: Broker) -> None:
    await fill(bus, 2, 10)
    peer = await Peer.connect(
        bus, AMQP_HEADER, opening(), beginning(0), attaching("orders", receiver=True), flowing(0, 5, window=0)
    )
    await peer.hear(amqp.ATTACH)
    assert bus.stats("orders")["locked"] == 0
    await peer.say(flowing(0, 5, window=1))
    await peer.hear(amqp.TRANSFER)
    await peer.say(attaching("orders", 1))
    await peer.hear(amqp.ATTACH)
    assert bus.stats("orders")["locked"] == 1


async def test_a_small_frame_size_is_respected(bus: Broker) -> None:
    await fill(bus, 1, 2000)
    peer = await Peer.connect(
        bus, AMQP_HEADER, opening(max_frame=1), beginning(), attaching("orders", receiver=True), flowing(0, 1)
    )
    sizes, more = [], True
    while more:
        fields, payload = await peer.hear_with_payload(amqp.TRANSFER)
        sizes.append(len(payload))
        more = fields[5]
    assert max(sizes) < 512
    assert sum(sizes) > 2000


async def test_a_drain_is_answered_with_no_credit_left(bus: Broker) -> None:
    peer = await Peer.begin(bus, attaching("orders", receiver=True), flowing(0, 5, drain=True))
    fields = await peer.hear(amqp.FLOW)
    assert (fields[5], fields[6]) == (5, 0)


async def test_settling_what_was_never_delivered_is_lock_lost(bus: Broker) -> None:
    settle = frame(amqp.pack(amqp.DISPOSITION, True, UInt(77), None, False, amqp.state(amqp.ACCEPTED)))
    peer = await Peer.begin(bus, attaching("orders", receiver=True), settle)
    outcome = (await peer.hear(amqp.DISPOSITION))[4]
    assert outcome.value[0].value[0] == "com.microsoft:message-lock-lost"


async def test_settling_a_huge_range_costs_nothing(bus: Broker) -> None:
    await fill(bus, 1, 10)
    peer = await Peer.begin(bus, attaching("orders", receiver=True), flowing(0, 1))
    await peer.hear(amqp.TRANSFER)
    everything = [UInt(0), UInt(2**32 - 1)]
    await peer.say(frame(amqp.pack(amqp.DISPOSITION, True, *everything, True, amqp.state(amqp.ACCEPTED))))
    await until(lambda: bus.stats("orders")["completed"] == 1)


async def test_a_request_waits_for_the_credit_of_its_reply_link(bus: Broker) -> None:
    """Older clients ask first, and open the way for the answer later."""
    asked = request("com.microsoft:peek-message", {"from-sequence-number": 0, "message-count": 1})
    peer = await Peer.begin(bus, attaching("orders/$management"), sending(asked))
    assert (await peer.hear(amqp.DISPOSITION))[4].code == amqp.ACCEPTED
    await peer.say(attaching("orders/$management", 1, receiver=True), flowing(1, 5))
    assert (await peer.hear(amqp.TRANSFER))[0] == 1
    assert not bus._service._management._waiting[next(iter(bus._service.connections))]


async def test_requests_nobody_wants_an_answer_to_do_not_pile_up(bus: Broker) -> None:
    asked = request("com.microsoft:peek-message", {})
    peer = await Peer.begin(bus, attaching("orders/$management"))
    await peer.say(*(sending(asked, number) for number in range(MAX_WAITING + 1)))
    assert await peer.condition(amqp.DETACH) == "amqp:resource-limit-exceeded"
    await peer.close()
    await until(lambda: not bus._service._management._waiting)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("com.microsoft:unheard-of", {}), 501),
        (request("com.microsoft:peek-message", {}), 400),
        (request("com.microsoft:peek-message", "text"), 400),
        (request("com.microsoft:peek-message", {"from-sequence-number": 0, "message-count": -5}), 204),
        (request("com.microsoft:renew-lock", {"lock-tokens": ["text"]}), 400),
        (request("com.microsoft:update-disposition", {"lock-tokens": [], "disposition-status": "eaten"}), 400),
        (request("com.microsoft:schedule-message", {"messages": [{"message": b"junk"}]}), 400),
        (request("com.microsoft:schedule-message", {"messages": [{}]}), 400),
        (request("com.microsoft:cancel-scheduled-message", {"sequence-numbers": list(range(1001))}), 400),
        (request("com.microsoft:cancel-scheduled-message", {"sequence-numbers": [4711]}), 404),
        (request("com.microsoft:receive-by-sequence-number", {"sequence-numbers": [1]}), 404),
        (section(PROPERTIES, ["r"]) + section(APPLICATION, {}), 400),
    ],
)
async def test_a_request_that_makes_no_sense_gets_its_status(bus: Broker, asked: bytes, status: int) -> None:
    address = "orders/$management"
    peer = await Peer.begin(
        bus, attaching(address, 0, receiver=True), flowing(0, 5), attaching(address, 1), sending(asked, handle=1)
    )
    _, payload = await peer.hear_with_payload(amqp.TRANSFER)
    assert section(PROPERTIES, [None]) not in payload
    assert f"statusCode\x71{status.to_bytes(4, 'big').decode('latin-1')}".encode("latin-1") in payload


def put_token(expires_s: float, audience: str) -> bytes:
    given = {"operation": "put-token", "name": audience, "type": "jwt", "expiration": Timestamp(expires_s * 1000)}
    return section(PROPERTIES, ["r"]) + section(APPLICATION, given) + section(VALUE, "secret")


CBS = (attaching("$cbs", 0, receiver=True), flowing(0, 5), attaching("$cbs", 1))


@pytest.mark.parametrize("audience", ["", "sb://host/other"])
async def test_an_entity_link_needs_a_token_for_that_entity(closed_peers: None, audience: str) -> None:
    async with Broker({"orders": QueueConfig()}, require_tokens=True) as bus:
        put = (*CBS, sending(put_token(9e9, audience), handle=1)) if audience else ()
        for address in ("orders", "orders/$management"):
            peer = await Peer.begin(bus, *put, attaching(address, 2))
            assert await peer.condition(amqp.DETACH) == "amqp:unauthorized-access"


async def test_links_lose_their_token_and_are_detached_with_the_reason(closed_peers: None) -> None:
    now = [1000.0]
    async with Broker({"orders": QueueConfig()}, require_tokens=True, clock=lambda: now[0]) as bus:
        token = sending(put_token(1010, "sb://host/orders"), handle=1)
        peer = await Peer.begin(bus, *CBS, token, attaching("orders", 2))
        await peer.hear(amqp.TRANSFER)
        await peer.hear(amqp.ATTACH)
        now[0] = 1010
        assert await peer.condition(amqp.DETACH) == "amqp:unauthorized-access"


async def test_a_peer_with_a_short_patience_hears_beats(bus: Broker) -> None:
    peer = await Peer.connect(bus, AMQP_HEADER, opening(idle_ms=1000))
    await peer.hear(amqp.OPEN)
    async with asyncio.timeout(10):
        assert await peer.next_frame() == b""


async def test_an_unknown_sasl_mechanism_is_turned_away(bus: Broker) -> None:
    peer = await Peer.connect(bus, SASL_HEADER, frame(amqp.pack(amqp.SASL_INIT, Symbol("PLAIN")), kind=1))
    await peer.reader.readexactly(8)
    assert (await peer.hear(amqp.SASL_OUTCOME))[0] == 1


async def test_an_unknown_outcome_leaves_the_lock_alone(bus: Broker) -> None:
    await fill(bus, 1, 10)
    peer = await Peer.begin(bus, attaching("orders", receiver=True), flowing(0, 1))
    number = (await peer.hear(amqp.TRANSFER))[1]
    odd = Described(ULong(0x99), [])
    await peer.say(frame(amqp.pack(amqp.DISPOSITION, True, number, None, False, odd)))
    outcome = (await peer.hear(amqp.DISPOSITION))[4]
    assert outcome.value[0].value[0] == "amqp:not-implemented"
    assert bus.stats("orders")["locked"] == 1
