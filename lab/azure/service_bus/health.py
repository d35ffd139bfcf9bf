"""`GET /health`, as Microsoft's emulator answers it on port 5300: scripts wait for it before they connect."""

from __future__ import annotations

import asyncio
import contextlib

DEADLINE_S = 5.0
ANSWERS = {
    True: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n\r\n"
    b'{"status":"healthy"}',
    False: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, for `asyncio.start_server`. Nothing but the request line matters; a slow peer is dropped."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(DEADLINE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWERS[head.startswith((b"GET /health ", b"GET /health?"))])
            await writer.drain()
    writer.close()
