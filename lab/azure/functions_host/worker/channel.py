"""What goes between a host and its worker: frames of a length and a pickle, of built-in types and Datum alone.

The classes of the lab stay out of it: an app may have a package `lab` of its own.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from typing import Any

from azure.functions.meta import Datum

from lab.azure.functions_host.worker.context import TraceContext
from lab.azure.functions_host.worker.worker import Call

LENGTH = struct.Struct("!I")


def pack(message: tuple[Any, ...]) -> bytes:
    content = pickle.dumps(message)
    return LENGTH.pack(len(content)) + content


def unpack(content: bytes) -> tuple[Any, ...]:
    """A frame's content. The peer is our own process."""
    message: tuple[Any, ...] = pickle.loads(content)  # noqa: S301 - the peer is our own child or parent
    return message


async def read(reader: asyncio.StreamReader) -> tuple[Any, ...]:
    """The next message. Raises IncompleteReadError or ConnectionError at the end."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return unpack(await reader.readexactly(length))


def receive(peer: socket.socket) -> tuple[Any, ...] | None:
    """The next message, None at the end; blocks."""
    header = exactly(peer, LENGTH.size)
    return unpack(exactly(peer, *LENGTH.unpack(header))) if header else None


def exactly(peer: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; none if the peer has gone."""
    parts = bytearray()
    while len(parts) < size:
        part = peer.recv(min(size - len(parts), 2**20))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def told_call(call: Call) -> tuple[Any, ...]:
    trace = call.trace
    return (call.invocation_id, call.function, call.data, dict(call.metadata), (trace.trace_parent, trace.trace_state))


def read_call(told: tuple[Any, ...]) -> Call:
    invocation_id, function, data, metadata, trace = told
    return Call(invocation_id, function, data, metadata, TraceContext(*trace))


def plain(result: Datum | None) -> Datum | None:
    """A result without classes of the app's own, such as a subclass of str."""
    if result is None or result.value is None:
        return result
    if result.type != "http":
        return Datum(str.__str__(result.value) if isinstance(result.value, str) else result.value, result.type)
    told = result.value
    headers = {str(name): Datum(str(header.value), "string") for name, header in told["headers"].items()}
    body = Datum(bytes(told["body"].value), "bytes")
    return Datum({**told, "headers": headers, "body": body}, "http")
