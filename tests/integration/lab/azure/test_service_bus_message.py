"""What a function gets for a message, compared with what the real host was measured to send."""

from __future__ import annotations

from datetime import timedelta

import azure.functions as func
import pytest
from azure.functions.servicebus import ServiceBusMessageInConverter
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

from lab.azure.functions_host.sdk_types import keep_types
from lab.azure.functions_host.service_bus_message import (
    body_datum,
    to_function_message,
    trigger_metadata,
)
from tests.integration.lab.azure.conftest import Bus


async def receive(bus: Bus, message: ServiceBusMessage) -> ServiceBusReceivedMessage:
    assert keep_types()
    await bus.send(message)
    async with bus.client.get_queue_receiver("orders") as receiver:
        (received,) = await receiver.receive_messages(max_message_count=1, max_wait_time=10)
    return received


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


async def test_a_field_of_the_body_stands_in_place_of_a_property_of_that_name(bus: Bus) -> None:
    body = '{"messageid": "x", "a": {"b": [1.0]}, "c": [1], "d": true, "e": null}'
    told = trigger_metadata(await receive(bus, ServiceBusMessage(body, message_id="sent")))
    assert {name: told[name].value for name in ("MessageId", "a", "d")} == {
        "MessageId": "x",
        "a": '{"b":[1.0]}',
        "d": "True",
    }
    assert not told.keys() & {"messageid", "c", "e"}


async def test_a_body_can_keep_its_message_from_its_function(bus: Bus) -> None:
    received = await receive(bus, ServiceBusMessage('{"DeliveryCount": "many"}'))
    with pytest.raises(ValueError, match="many"):
        to_function_message(received)
