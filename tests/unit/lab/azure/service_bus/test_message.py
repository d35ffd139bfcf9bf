"""Messages: what is read out of their sections, what the broker adds, and what is not a message."""

from __future__ import annotations

import math
import uuid
from typing import Any

import pytest

from lab.azure.service_bus.amqp_types import Array, Described, Symbol, Timestamp, UInt, ULong
from lab.azure.service_bus.codec import CodecError, decode, encode
from lab.azure.service_bus.message import (
    ANNOTATIONS,
    APPLICATION,
    DATA,
    DELIVERY,
    FOOTER,
    HEADER,
    PROPERTIES,
    VALUE,
    Message,
    batch,
    section,
)
from lab.azure.service_bus.queue import Entry


def entry(message: Message, **fields: Any) -> Entry[Message]:
    return Entry(message, 0, 7, 1.5, math.inf, **fields)


def parts(raw: bytes) -> dict[int, Any]:
    found, at = {}, 0
    while at < len(raw):
        part, at = decode(raw, at)
        found[int(part.code)] = part.value
    return found


def test_ttl_and_due_time_are_read_in_seconds() -> None:
    notes = {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(2500)}
    message = Message(section(HEADER, [None, None, UInt(1500)]) + section(ANNOTATIONS, notes))
    assert (message.ttl_s, message.due_at) == (1.5, 2.5)


def test_without_them_it_lives_for_ever_and_is_due_at_once() -> None:
    message = Message(section(DATA, b"x"))
    assert (message.ttl_s, message.due_at) == (math.inf, 0.0)


def test_a_nameless_message_gets_an_id_and_others_keep_theirs() -> None:
    nameless = Message(section(DATA, b"x"))
    assert parts(nameless.encode(entry(nameless)))[PROPERTIES] == [nameless.message_id]
    number = Message(section(PROPERTIES, [ULong(5), None, "to"]))
    assert number.message_id == "5"
    assert parts(number.encode(entry(number)))[PROPERTIES] == [ULong(5), None, "to"]


def test_a_receiver_gets_what_was_sent_and_what_the_broker_knows() -> None:
    token = uuid.UUID(int=1)
    sent = (
        section(HEADER, [True])
        + section(DELIVERY, {Symbol("mine"): 1})
        + section(ANNOTATIONS, {Symbol("x-opt-mine"): 1})
        + section(PROPERTIES, ["m"])
        + section(APPLICATION, {"k": "v"})
        + section(DATA, b"a")
        + section(DATA, b"b")
        + section(FOOTER, {Symbol("f"): 1})
    )
    message = Message(sent)
    held = entry(message, delivery_count=2, lock_token=token, locked_until=9.0, ttl_s=1.234)
    raw = message.encode(held)
    got = parts(raw)
    assert got[HEADER] == [True, None, UInt(1234), None, UInt(2)]
    assert parts(message.encode(held, lock_token=token))[DELIVERY] == {"x-opt-lock-token": token}
    assert DELIVERY not in got
    assert got[ANNOTATIONS] == {
        "x-opt-mine": 1,
        "x-opt-sequence-number": 7,
        "x-opt-enqueue-sequence-number": 0,
        "x-opt-enqueued-time": 1500,
        "x-opt-message-state": 0,
        "x-opt-locked-until": 9000,
    }
    assert got[APPLICATION] == {"k": "v"}
    assert raw.endswith(section(DATA, b"a") + section(DATA, b"b") + section(FOOTER, {Symbol("f"): 1}))


def test_a_dead_letters_reason_joins_the_application_properties() -> None:
    message = Message(section(APPLICATION, {"k": "v"}))
    got = parts(message.encode(entry(message, dead_letter_reason=("why", None))))
    assert got[APPLICATION] == {"k": "v", "DeadLetterReason": "why"}


def test_odd_but_valid_annotations_survive() -> None:
    message = Message(section(ANNOTATIONS, {Symbol("a"): Array([]), Symbol("b"): Described(ULong(1), None)}))
    got = parts(message.encode(entry(message)))[ANNOTATIONS]
    assert (got["a"], got["b"]) == (Array([]), Described(ULong(1), None))


def test_the_value_of_a_value_body_is_read() -> None:
    assert Message(section(VALUE, {"k": 1})).value() == {"k": 1}
    assert Message(section(DATA, b"x")).value() is None


def test_a_batch_is_its_data_sections() -> None:
    assert batch(section(DATA, b"one") + section(DATA, b"two")) == [b"one", b"two"]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x40",
        encode("text"),
        encode(Described(Symbol("amqp:data:binary"), b"x")),
        section(0x20, []),
        section(HEADER, {}),
        section(PROPERTIES, "x"),
        section(APPLICATION, []),
        section(ANNOTATIONS, []),
        section(DATA, "text"),
        section(HEADER, []) * 2,
        section(DATA, b"x")[:-1],
        b"\x00\x53\x77\xc0\x02\x05\x40",
    ],
)
def test_an_invalid_message_raises_a_codec_error(raw: bytes) -> None:
    with pytest.raises(CodecError):
        Message(raw)
