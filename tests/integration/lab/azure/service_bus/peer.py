"""A peer that speaks AMQP frame by frame and can break every rule the SDK keeps. It must never be polite unasked."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from lab.azure.service_bus import Broker
from lab.azure.service_bus import performatives as amqp
from lab.azure.service_bus.amqp_types import Described, UByte, UInt, ULong, UShort
from lab.azure.service_bus.codec import decode
from lab.azure.service_bus.connection import AMQP_HEADER
from lab.azure.service_bus.message import APPLICATION, DATA, PROPERTIES, VALUE, section

DEADLINE_S = 10


def frame(body: bytes, channel: int = 0, kind: int = 0) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + bytes((2, kind)) + channel.to_bytes(2, "big") + body


def opening(idle_ms: int | None = None, max_frame: int = 65536) -> bytes:
    idle = None if idle_ms is None else UInt(idle_ms)
    return frame(amqp.pack(amqp.OPEN, "peer", None, UInt(max_frame), UShort(0), idle))


def beginning(window: int = 1000) -> bytes:
    return frame(amqp.pack(amqp.BEGIN, None, UInt(0), UInt(window), UInt(1000)))


def attaching(address: str, handle: int = 0, *, receiver: bool = False, presettled: bool = False) -> bytes:
    ends = [Described(ULong(0x28), [address]), Described(ULong(0x29), [address])]
    mode = UByte(1 if presettled else 0)
    count = None if receiver else UInt(0)
    name = f"link {handle} to {address}"
    return frame(amqp.pack(amqp.ATTACH, name, UInt(handle), receiver, mode, UByte(0), *ends, None, None, count))


def flowing(handle: int, credit: int, *, window: int = 1000, drain: bool = False) -> bytes:
    head = [UInt(0), UInt(window), UInt(0), UInt(1000)]
    return frame(amqp.pack(amqp.FLOW, *head, UInt(handle), UInt(0), UInt(credit), None, drain))


def sending(
    payload: bytes, number: int = 0, handle: int = 0, *, more: bool = False, settled: bool = False, format_: int = 0
) -> bytes:
    tag = number.to_bytes(4, "big")
    fields = [UInt(handle), UInt(number), tag, UInt(format_), settled, more]
    return frame(amqp.pack(amqp.TRANSFER, *fields) + payload)


def message(body: bytes = b"x", message_id: str = "m") -> bytes:
    return section(PROPERTIES, [message_id]) + section(DATA, body)


def request(operation: str, body: Any) -> bytes:
    return section(PROPERTIES, ["r"]) + section(APPLICATION, {"operation": operation}) + section(VALUE, body)


class Peer:
    """A connection to the broker. `open`: those of this test."""

    open: ClassVar[list[Peer]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.open.append(self)

    @classmethod
    async def connect(cls, broker: Broker, *frames: bytes) -> Peer:
        """Connect and say something."""
        peer = cls(*await asyncio.open_connection(broker.host, broker.port))
        await peer.say(*frames)
        return peer

    @classmethod
    async def begin(cls, broker: Broker, *frames: bytes) -> Peer:
        """Connect, open and begin, then say something."""
        return await cls.connect(broker, AMQP_HEADER, opening(), beginning(), *frames)

    async def say(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def hear(self, code: int) -> list[Any]:
        """The fields of the next frame with a code; EOFError if there is none, TimeoutError if it does not come."""
        return (await self.hear_with_payload(code))[0]

    async def hear_with_payload(self, code: int) -> tuple[list[Any], bytes]:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                raw = await self.next_frame()
                if raw and (found := decode(raw))[0].code == code:
                    return found[0].value, raw[found[1] :]

    async def next_frame(self) -> bytes:
        """The body of the next frame; headers are passed over. Raises EOFError."""
        head = await self.reader.readexactly(8)
        if head == AMQP_HEADER:
            return await self.next_frame()
        return await self.reader.readexactly(int.from_bytes(head[:4], "big") - 8)

    async def condition(self, code: int) -> str:
        """The condition of the error in the next frame with a code (a detach or a close)."""
        fields = await self.hear(code)
        error = fields[-1]
        return str(error.value[0])

    async def ended(self) -> bool:
        """Waits until the broker has closed the connection."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return True

    async def close(self) -> None:
        """In the middle of a test; at its end the fixture `closed_peers` closes all."""
        self.writer.transport.abort()
        await asyncio.sleep(0)
