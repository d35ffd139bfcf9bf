"""uvicorn's HTTP/1.1 with Kestrel's limits and its short answers to invalid requests.

Measured: a request line over 8 KB is 414, headers over 32 KB or more than 100 of them 431, all else wrong 400, each
without a body and with the connection closed.
"""

from __future__ import annotations

import re
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

MAX_LINE = 8 * 1024
MAX_HEADERS_BYTES = 32 * 1024
MAX_HEADERS = 100
BAD, TOO_LONG, TOO_LARGE, VERSION = 400, 414, 431, 505
REASONS = {BAD: "Bad Request", TOO_LONG: "URI Too Long", TOO_LARGE: "Request Header Fields Too Large"}
REASONS[VERSION] = "HTTP Version Not Supported"
HOST = re.compile(rb"(?:(?:[A-Za-z0-9._~!$&'()-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?)?")
ABSOLUTE = re.compile(rb"[a-z][a-z0-9+.-]*://(?P<host>[^/?]*)", re.IGNORECASE)
MAX_LENGTH = 2**63 - 1
FRAMING = re.compile(rb"(?:Transfer-Encoding: chunked|Content-Length: 0)\r\n", re.IGNORECASE)
FOLDED, LENGTHS = re.compile(rb"\n[ \t]"), re.compile(rb"\ncontent-length:(?:.*\ncontent-length:|[^\n]*,)", re.I | re.S)
WRONG_VERSION = re.compile(rb"[^\r\n]* (?!HTTP/1\.[01]\r?\n)[A-Za-z]+/[^ \r\n]*\r?\n")


STATUS_PHRASES.update(dict.fromkeys(range(600, 1000), b""))  # h11 sends them, uvicorn looks for their words


class HostConnection(h11.Connection):
    """h11 that also refuses what Kestrel refuses."""

    status = BAD
    _asked_head = False

    def next_event(self) -> Any:
        """Raises RemoteProtocolError; `status` is then what to answer."""
        try:
            return self._checked(super().next_event())
        except h11.RemoteProtocolError as error:
            self.status = error.error_status_hint if error.error_status_hint in REASONS else BAD
            raise

    def send(self, event: Any) -> Any:
        """Answers to HEAD have no framing headers, as with Kestrel."""
        data = super().send(event)
        if isinstance(event, h11.Response) and self._asked_head and data:
            return FRAMING.sub(b"", data)
        return data

    def _checked(self, event: Any) -> Any:
        if isinstance(event, h11.Request):
            self._asked_head = event.method == b"HEAD"
            if len(event.method) + len(event.target) + len(" HTTP/1.1 \r\n") > MAX_LINE:
                raise h11.RemoteProtocolError("request line", error_status_hint=TOO_LONG)
            if len(event.headers) > MAX_HEADERS or size(event) > MAX_HEADERS_BYTES:
                raise h11.RemoteProtocolError("headers", error_status_hint=TOO_LARGE)
            if not valid(event):
                raise h11.RemoteProtocolError("header value", error_status_hint=BAD)
        return event


def size(request: h11.Request) -> int:
    """Bytes of its headers on the wire with the empty line behind them, if one space stands before each value."""
    return sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers) + len("\r\n")


def valid(request: h11.Request) -> bool:
    """True if the target, the header values (UTF-8), Host and Content-Length are valid."""
    headers = dict(request.headers)
    host, length = headers.get(b"host", b""), headers.get(b"content-length", b"")
    try:
        request.target.decode("ascii")
        b"\n".join(value for _, value in request.headers).decode()
    except UnicodeDecodeError:
        return False
    return targets(request, host) and HOST.fullmatch(host) is not None and int(length or 0) <= MAX_LENGTH


def targets(request: h11.Request, host: bytes) -> bool:
    """True if the target is a path, or a URL with the same host as the Host header."""
    if request.target[:1] in (b"/", b"*") or request.method == b"CONNECT":
        return True
    absolute = ABSOLUTE.match(request.target)
    return absolute is not None and absolute["host"] in (host, host.removesuffix(b":80"))


class HostProtocol(H11Protocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = HostConnection(h11.SERVER, self.config.h11_max_incomplete_event_size or 0)

    def data_received(self, data: bytes) -> None:
        """Refuse folded headers and repeated lengths, which h11 would accept. Skip empty lines before a request."""
        if self.conn.their_state is h11.IDLE:
            data = data if self.conn.trailing_data[0] else data.lstrip(b"\r\n")
            head = data.partition(b"\r\n\r\n")[0]
            if WRONG_VERSION.match(head + b"\r\n"):
                self.refuse(VERSION)
                return
            if FOLDED.search(head) or LENGTHS.search(head):
                self.refuse(BAD)
                return
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer an invalid request and close."""
        self.refuse(getattr(self.conn, "status", BAD))

    def refuse(self, status: int) -> None:
        """Send this status without a body and close the connection."""
        self.transport.write(
            f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        self.transport.close()
