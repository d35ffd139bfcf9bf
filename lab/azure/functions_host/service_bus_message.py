"""Builds the `func.ServiceBusMessage` a function gets, through the worker's own converter.

The trigger data stands as the real host sends it (measured): delivery_count from 1, UTC times without a zone, null
fields absent. Must never hand over a field that the real host would not.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import azure.functions as func
from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessageInConverter
from azure.servicebus.amqp import AmqpMessageBodyType

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

NEVER = "9999-12-31T23:59:59.9999999"  # DateTime.MaxValue: a message without a time to live


class InConverter(ServiceBusMessageInConverter, binding=None):
    """The worker's converter with a faster clock reader: strptime with 13 formats takes 1.5 ms of a message's 1.7.

    Were the worker's method renamed, messages would only be slower.
    """

    @classmethod
    def _parse_datetime(cls, datetime_str: str | None) -> datetime | None:
        return datetime.fromisoformat(datetime_str) if datetime_str else None


def to_function_message(message: ServiceBusReceivedMessage) -> func.ServiceBusMessage:
    """The message as the Python worker would hand it to a function."""
    decoded = InConverter.decode(body_datum(message), trigger_metadata=trigger_metadata(message))
    return cast(func.ServiceBusMessage, decoded)


def body_datum(message: ServiceBusReceivedMessage) -> Datum:
    """The body: text if it is UTF-8, else bytes."""
    sections = message.body if message.body_type is AmqpMessageBodyType.DATA else [text_of(message.body).encode()]
    body = b"".join(cast("Iterable[bytes]", sections))
    try:
        return Datum(body.decode(), "string")
    except UnicodeDecodeError:
        return Datum(body, "bytes")


def trigger_metadata(message: ServiceBusReceivedMessage) -> dict[str, Datum]:
    """The binding data of the Service Bus extension for one message."""
    properties = application_properties(message)
    texts = {
        "MessageId": message.message_id,
        "ContentType": message.content_type,
        "CorrelationId": message.correlation_id,
        "Subject": message.subject,
        "Label": message.subject,
        "To": message.to,
        "ReplyTo": message.reply_to,
        "SessionId": message.session_id,
        "ReplyToSessionId": message.reply_to_session_id,
        "PartitionKey": message.partition_key,
        "LockToken": message.lock_token,
        "DeadLetterSource": message.dead_letter_source,
    }
    values = {
        "DeliveryCount": (message.delivery_count or 0) + 1,  # counts from 0 on the wire, from 1 in .NET
        "EnqueuedTimeUtc": dotnet_time(message.enqueued_time_utc),
        "ExpiresAtUtc": dotnet_time(message.expires_at_utc) or NEVER,
        "ApplicationProperties": properties,
        "UserProperties": properties,
    }
    return {
        **{name: Datum(text_of(value), "string") for name, value in texts.items() if value is not None},
        **{name: Datum(json.dumps(value), "json") for name, value in values.items() if value is not None},
        "SequenceNumber": Datum(message.sequence_number, "int"),
    }


def application_properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """The application properties as JSON values."""
    properties = cast("Mapping[str | bytes, Any]", message.application_properties or {})
    return {text_of(name): json_value(value) for name, value in properties.items()}


def json_value(value: Any) -> Any:
    """A property as the host serialises it: times with milliseconds, bytes as base64, UUIDs as text.

    pyamqp loses two types: strings arrive as bytes (so bytes that are UTF-8 count as text), and an AMQP timestamp as
    its milliseconds since 1970 (so it stays that number, where the real host has text).
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        utc = value.astimezone(UTC) if value.tzinfo else value
        return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
    return str(value) if isinstance(value, uuid.UUID) else value


def text_of(value: Any) -> str:
    """pyamqp hands over strings as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def dotnet_time(moment: datetime | None) -> str | None:
    """A UTC time without a zone, as .NET writes a DateTime of unspecified kind."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%f}"
