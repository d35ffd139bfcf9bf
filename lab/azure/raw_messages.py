"""Messages as the bytes that travelled, received and sent through the SDK.

The SDK (7.15) gives a received message's values without their AMQP types (a string, a symbol and bytes are all bytes,
a time is a number), and one value that it cannot decode ends its receiver. So a copy is made from the bytes. Three
private names of the SDK are used: `decode_payload` in two modules, and `_message` of a batch. A batch travels as one
envelope of encoded messages, which is how bytes can be sent as they are.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusSender

DECODERS = ("azure.servicebus._pyamqp.aio._receiver_async", "azure.servicebus._transport._pyamqp_transport")
_RAW = "raw"


_users: list[Any] = []


@contextlib.contextmanager
def keeping_bytes() -> Iterator[None]:
    """While it lasts, every message that the SDK receives or peeks at keeps its bytes, for `bytes_of`."""
    modules = [importlib.import_module(name) for name in DECODERS]
    decode = getattr(modules[0].decode_payload, "original", modules[0].decode_payload)
    _users.append(decode)  # several tasks may want it at once: the last to leave puts the SDK's own back
    for module in modules:
        module.decode_payload = _keeping(decode)  # type: ignore[attr-defined]  # a private name: see above
    try:
        yield
    finally:
        _users.pop()
        for module in modules if not _users else ():
            module.decode_payload = decode  # type: ignore[attr-defined]


def _keeping(decode: Callable[[memoryview], Any]) -> Callable[[memoryview], Any]:
    from azure.servicebus._pyamqp.message import Message

    def decode_payload(buffer: memoryview) -> Any:
        raw = bytes(buffer)
        try:
            message = decode(buffer)
        except Exception:  # noqa: BLE001 - whatever it stumbles over must not hide the messages behind it
            message = Message()
        return message._replace(footer={_RAW: raw})

    decode_payload.original = decode  # type: ignore[attr-defined]
    return decode_payload


def bytes_of(message: ServiceBusReceivedMessage) -> bytes:
    """The message as it travelled, if it was received inside `keeping_bytes`."""
    footer: dict[Any, Any] = message.raw_amqp_message.footer or {}
    raw: bytes = footer[_RAW]
    return raw


async def send_bytes(sender: ServiceBusSender, raw: bytes, outside: ServiceBusMessage, timeout_s: float) -> None:
    """Send one encoded message; `outside` is what its envelope says of it (id, session, partition key).

    Raises the SDK's errors; returns when the bus has confirmed it.
    """
    batch = await sender.create_message_batch()
    batch.add_message(outside)
    batch._message[5][:] = [raw]
    await sender.send_messages(batch, timeout=timeout_s)
