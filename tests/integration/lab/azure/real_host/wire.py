"""Raw HTTP/1.1: sends a recorded request byte for byte and reads the answers as they were recorded."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import Any

ANSWER_S = 20.0  # a whole answer; long, for it is waited for beside other loads
SILENCE_S = 1.5  # no answer at all, where the real host gave none
LONG = 2000  # characters; a longer body or header was recorded by its length


@dataclass
class Exchange:
    """A connection after its answers. `closed` waits for its end, which an open one does not reach."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answers: list[dict[str, Any]]

    async def after(self, expected: str | None, patience: float) -> str:
        if expected == "closed":
            try:
                async with asyncio.timeout(patience):
                    await self.reader.read()
            except TimeoutError:
                return "open"
            except ConnectionError:
                return "closed"
        return "closed" if self.reader.at_eof() else "open"


async def exchange(port: int, case: dict[str, Any], names: dict[str, str]) -> Exchange:
    """Send a case's pieces (a number is a pause in seconds) and read as many answers as were recorded."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    for piece in case["send"]:
        if isinstance(piece, str):
            writer.write(replace(piece, names).encode("latin-1"))
        else:
            await asyncio.sleep(piece)
    if case.get("half_close"):
        writer.write_eof()
    answers = []
    for expected in case["answers"]:
        patience = SILENCE_S if expected["framing"] == "timeout" else ANSWER_S
        answers.append(await read_answer(reader, patience, bool(case.get("head")), names))
    return Exchange(reader, writer, answers)


async def read_answer(reader: asyncio.StreamReader, patience: float, head: bool, names: dict[str, str]) -> Any:
    answer: dict[str, Any] = {"status": "", "framing": "timeout", "headers": []}
    body = b""
    try:
        async with asyncio.timeout(patience):
            first = await reader.readline()
            if not first:
                return {**answer, "framing": "eof", "body": ""}
            answer["status"] = first.decode("latin-1").strip()
            while line := (await reader.readline()).decode("latin-1").rstrip("\r\n"):
                name, _, value = line.partition(":")
                answer["headers"].append([name, shorten(value.strip())])
            answer["framing"], body = await read_body(reader, answer, head)
    except TimeoutError:
        pass
    except (ConnectionError, asyncio.IncompleteReadError):
        answer["framing"] = "eof"
    return {**answer, **body_fields(body, names)}


async def read_body(reader: asyncio.StreamReader, answer: dict[str, Any], head: bool) -> tuple[str, bytes]:
    status = answer["status"].split(" ")[1]
    headers = {name.lower(): value for name, value in answer["headers"]}
    if head or status.startswith("1") or status in ("204", "304"):
        return "nobody", b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return "chunked", body
    if "content-length" in headers:
        return "cl", await reader.readexactly(int(headers["content-length"]))
    return "eof", await reader.read()


def body_fields(body: bytes, names: dict[str, str]) -> dict[str, Any]:
    """As recorded: what the probe saw as JSON, short bodies as text, long ones by length and digest."""
    if body.startswith(b'{"reqtype"'):
        return {"json": json.loads(body)}
    if len(body) > LONG:
        return {"body_len": len(body), "body_sha256": hashlib.sha256(body).hexdigest()}
    text = body.decode(errors="backslashreplace")
    return {"body": text}


def shorten(value: str) -> str:
    return f"<{len(value)} characters>" if len(value) > LONG else value


def replace(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    return text
