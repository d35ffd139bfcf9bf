"""What a function gets for a message, compared with what the real host was measured to send."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from azure.functions.servicebus import ServiceBusMessageInConverter
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

from lab.azure.functions_host.sdk_types import Text, Timestamp, keep_types
from lab.azure.functions_host.service_bus_message import (
    PLACES,
    body_datum,
    json_value,
    to_function_message,
    trigger_metadata,
)

from .conftest import Bus

ID = uuid.UUID("d11c6086-5eae-484d-8493-33265f33c650")


async def receive(bus: Bus, message: ServiceBusMessage) -> ServiceBusReceivedMessage:
    assert keep_types()
    await bus.send(message)
    async with bus.client.get_queue_receiver("orders") as receiver:
        (received,) = await receiver.receive_messages(max_message_count=1, max_wait_time=10)
    return received


async def test_a_plain_message_has_the_fields_measured_on_the_real_host(bus: Bus) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    message = to_function_message(await receive(bus, ServiceBusMessage('{"a": 1}', message_id="m-1")))
    assert (message.get_body(), message.message_id) == (b'{"a": 1}', "m-1")
    assert message.delivery_count == 1
    assert message.sequence_number == 1
    assert message.enqueued_time_utc is not None
    assert message.enqueued_time_utc.tzinfo is None
    assert abs(message.enqueued_time_utc - before) < timedelta(seconds=30)
    assert message.expires_at_utc == datetime(9999, 12, 31, 23, 59, 59, 999999)
    assert message.application_properties == {}
    assert uuid.UUID(str(message.lock_token))


async def test_null_fields_are_absent_from_the_metadata(bus: Bus) -> None:
    message = to_function_message(await receive(bus, ServiceBusMessage("{}", message_id="m-1")))
    assert message.metadata is not None
    assert set(message.metadata) == {
        "MessageId", "LockToken", "DeliveryCount", "EnqueuedTimeUtc", "EnqueuedTime", "ExpiresAtUtc", "ExpiresAt",
        "ApplicationProperties", "UserProperties", "SequenceNumber", "Client", *PLACES,
    }  # fmt: skip
    assert (message.correlation_id, message.subject, message.to, message.session_id) == (None, None, None, None)


async def test_the_fields_a_sender_sets_arrive(bus: Bus) -> None:
    sent = ServiceBusMessage(
        b"\xff\xfe",
        content_type="application/octet-stream",
        correlation_id="c-1",
        subject="placed",
        to="somewhere",
        reply_to="elsewhere",
        time_to_live=timedelta(hours=1),
        application_properties={"text": "é", "number": 7, "ratio": 0.5, "flag": True, "id": ID},
    )
    message = to_function_message(await receive(bus, sent))
    assert message.get_body().decode() == "\ufffd\ufffd"
    assert (message.content_type, message.correlation_id) == ("application/octet-stream", "c-1")
    assert (message.subject, message.label, message.to, message.reply_to) == (
        "placed",
        "placed",
        "somewhere",
        "elsewhere",
    )
    assert message.application_properties == {"text": "é", "number": 7, "ratio": 0.5, "flag": True, "id": str(ID)}
    assert message.user_properties == message.application_properties
    assert message.expires_at_utc is not None
    assert message.enqueued_time_utc is not None
    assert message.expires_at_utc - message.enqueued_time_utc == timedelta(hours=1)


@pytest.mark.parametrize("time_to_live", [None, timedelta(hours=1)])
async def test_it_is_what_the_workers_own_converter_makes(bus: Bus, time_to_live: timedelta | None) -> None:
    received = await receive(bus, ServiceBusMessage("{}", subject="s", time_to_live=time_to_live))
    data = body_datum(received)
    expected = ServiceBusMessageInConverter.decode(data, trigger_metadata=trigger_metadata(received))
    ours = to_function_message(received)
    assert isinstance(expected, func.ServiceBusMessage)
    names = [name for name in dir(type(expected)) if isinstance(getattr(type(expected), name), property)]
    differing = [
        name
        for name in names
        if name != "force_persistence" and getattr(ours, name) != getattr(expected, name)  # that one only raises
    ]
    assert (differing, len(names) > 20) == ([], True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC), "2023-11-14T22:13:20.123Z"),
        (b"\xff\x00", "/wA="),
        (Text(b"text"), "text"),
        (Timestamp(1700000000123), "2023-11-14T22:13:20.123Z"),
        (float("nan"), "NaN"),
        (ID, str(ID)),
        (7, 7),
        (None, None),
    ],
)
def test_application_properties_are_serialised_as_the_host_does(value: object, expected: object) -> None:
    assert json_value(value) == expected
