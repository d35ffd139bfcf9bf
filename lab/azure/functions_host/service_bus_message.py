"""The parts of a Service Bus message that reach the worker: its body and the extension's binding data.

As measured: the body is always text, the delivery count begins at 1, UTC times have no zone, and fields that
are null are absent.
"""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from azure.functions.meta import Datum
from azure.servicebus.amqp import AmqpMessageBodyType

from lab.azure import lenient_json
from lab.azure.functions_host.sdk_types import Timestamp, is_binary
from lab.azure.functions_host.worker.service_bus_binding import ServiceBusBinding

if TYPE_CHECKING:
    import azure.functions as func
    from azure.servicebus import ServiceBusReceivedMessage

NEVER = "9999-12-31T23:59:59.9999999"  # DateTime.MaxValue: a message without a time to live
PLACES = ("MessageActions", "MessageSession", "ReceiveActions", "SessionActions", "MessageReceiver")  # empty objects


class BodyNotText(TypeError):
    """The body is a VALUE that is no string, or a SEQUENCE: it never reaches a function, and ends as a dead letter."""


def to_function_message(message: ServiceBusReceivedMessage) -> func.ServiceBusMessage:
    """The message as the worker hands it to a function. Raises BodyNotText."""
    decoded = ServiceBusBinding.decode(body_datum(message), trigger_metadata=trigger_metadata(message))
    return cast("func.ServiceBusMessage", decoded)


def body_datum(message: ServiceBusReceivedMessage) -> Datum:
    """The body as text; invalid UTF-8 becomes U+FFFD. Raises BodyNotText."""
    if message.body_type is AmqpMessageBodyType.DATA:
        body = b"".join(cast("Iterable[bytes]", message.body))
    else:
        body = b"" if message.body is None else message.body
        if message.body_type is not AmqpMessageBodyType.VALUE or not isinstance(body, bytes) or is_binary(body):
            raise BodyNotText(f"the body of message {message.message_id} is neither data nor a string")
    return Datum(body.decode(errors="replace"), "string")


def trigger_metadata(message: ServiceBusReceivedMessage) -> dict[str, Datum]:
    """The binding data of the Service Bus extension for one message."""
    properties = application_properties(message)
    annotations = cast("Mapping[Any, Any]", message.raw_amqp_message.annotations or {})
    texts = {
        "MessageId": id_text(message),
        "ContentType": message.content_type or None,
        "CorrelationId": message.correlation_id,
        "Subject": message.subject or None,
        "Label": message.subject or None,
        "To": message.to,
        "ReplyTo": message.reply_to,
        "SessionId": message.session_id,
        "ReplyToSessionId": message.reply_to_session_id,
        "PartitionKey": message.partition_key,
        "TransactionPartitionKey": annotations.get(b"x-opt-via-partition-key"),
        "LockToken": message.lock_token,
        "DeadLetterSource": message.dead_letter_source,
    }
    enqueued, expires = dotnet_time(message.enqueued_time_utc), expiry(message)
    values = {
        "DeliveryCount": (message.delivery_count or 0) + 1,  # counts from 0 on the wire, from 1 in .NET
        "EnqueuedTimeUtc": enqueued,
        "EnqueuedTime": enqueued and f"{enqueued}+00:00",
        "ExpiresAtUtc": expires,
        "ExpiresAt": f"{expires}+00:00",
        "ApplicationProperties": properties,
        "UserProperties": properties,
        "Client": {"IsClosed": False, "TransportType": 0},
        **{name: {} for name in PLACES},
    }
    told = {
        **{name: Datum(text_of(value), "string") for name, value in texts.items() if value is not None},
        **{name: Datum(json.dumps(value), "json") for name, value in values.items() if value is not None},
        "SequenceNumber": Datum(message.sequence_number, "int"),
    }
    names = {name.lower(): name for name in told}
    return told | {names.get(name.lower(), name): value for name, value in body_fields(message).items()}


def body_fields(message: ServiceBusReceivedMessage) -> dict[str, Datum]:
    """The fields of a body that is a JSON object, but for arrays and nulls: the host tells them beside the rest, and in
    place of what has the same name in any case (ApplyBindingData in its Utility.cs). So a body can break its message.
    """
    try:
        body = str(body_datum(message).value).strip()
        read = lenient_json.loads(body) if body.startswith("{") and body.endswith("}") else {}
    except (BodyNotText, lenient_json.NotJson):
        return {}
    return {name: field(value) for name, value in read.items() if value is not None and not isinstance(value, list)}


def field(value: Any) -> Datum:
    """An object as JSON, all else as text."""
    if isinstance(value, dict):
        return Datum(lenient_json.dumps(value, None), "json")
    return Datum(lenient_json.shown(value), "string")


def id_text(message: ServiceBusReceivedMessage) -> Any:
    """The message's id; one that came as binary, in hexadecimal digits."""
    properties = message.raw_amqp_message.properties
    sent = None if properties is None else properties.message_id
    return sent.hex() if isinstance(sent, bytes) and is_binary(sent) else message.message_id


def expiry(message: ServiceBusReceivedMessage) -> str:
    """When it expires: by its time to live, else as the message says."""
    properties = message.raw_amqp_message.properties
    said = None if properties is None else properties.absolute_expiry_time
    by_itself = datetime.fromtimestamp(int(said) / 1000, UTC) if said else None
    return dotnet_time(message.expires_at_utc or by_itself) or NEVER


def application_properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """The application properties as JSON values."""
    properties = cast("Mapping[str | bytes, Any]", message.application_properties or {})
    return {text_of(name): json_value(value) for name, value in properties.items()}


def json_value(value: Any) -> Any:
    """A property as the host serialises it: times with milliseconds, binary as base64, UUIDs and NaN as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode() if is_binary(value) else text_of(value)
    if isinstance(value, Timestamp):
        value = datetime.fromtimestamp(value / 1000, UTC)
    if isinstance(value, datetime):
        return f"{dotnet_time(value)}Z"
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return str(value) if isinstance(value, uuid.UUID) else value


def text_of(value: Any) -> str:
    """The SDK hands over texts as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def dotnet_time(moment: datetime | None) -> str | None:
    """A UTC time without a zone, to the millisecond and without its closing zeros."""
    if moment is None:
        return None
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}".rstrip("0").rstrip(".")
