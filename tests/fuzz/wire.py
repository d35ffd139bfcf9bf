"""Sends bytes to a server and reads what it answers, without a client's opinion of either."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.fuzz.hostile import Request

ANSWER_S = 20
STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
LOCATION = re.compile(rb"^Location: (\S+)\r$", re.MULTILINE)


@dataclass(frozen=True)
class Heard:
    """What came back. `statuses`: none if the server closed the connection without a word."""

    raw: bytes

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in STATUS.findall(self.raw) if status != b"100"]

    @property
    def location(self) -> str | None:
        found = LOCATION.search(self.raw)
        return found[1].decode() if found else None


def send(url: str, request: Request) -> Heard:
    """All that the server at `url` says to these bytes. Raises TimeoutError if it does not come to an end."""
    address, ends_at = urlsplit(url), time.monotonic() + ANSWER_S
    with socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=ANSWER_S) as connection:
        heard = b""
        try:
            connection.sendall(request.raw)
            if request.ends:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                heard += part
                if time.monotonic() > ends_at:
                    raise TimeoutError(f"it was still answering after {ANSWER_S} s")
        except (ConnectionResetError, BrokenPipeError):
            pass  # it had read enough
        return Heard(heard)
