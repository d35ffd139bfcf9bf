"""A function's result as an HTTP response, by the rules measured on the real host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.cookies import Morsel
from typing import Any
from urllib.parse import quote

from azure.functions.meta import Datum

from lab.azure import lenient_json

TEXT = "text/plain; charset=utf-8"
SERVERS_OWN = ("transfer-encoding", "date", "server")  # a response that breaks its own framing is not imitated
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\t\x20-\x7e]*")
STATUS = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
LIST = b"System.Collections.Generic.List`1[System.Object]"  # RawScriptResult.cs of the host calls its ToString
OK, FIRST, LAST = 200, 200, 999  # statuses that the server can send; the real one sends any number


class BadResponse(ValueError):
    """The response cannot be sent: 500, and the message is logged."""


class BadLength(BadResponse):
    """Content-Length and body differ: the connection is closed too."""


@dataclass(frozen=True)
class HttpResponse:
    """What is sent. `headers` in order, names as the function wrote them."""

    status: int = OK
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def encoded_headers(self) -> list[tuple[bytes, bytes]]:
        """For the server, with a length if there is no body. Raises BadResponse."""
        for name, value in self.headers:
            if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
                raise BadResponse(f"the header {name!r} has a name or a value that HTTP does not allow")
            if name.lower() == "content-length" and value.strip() != str(len(self.body)):
                raise BadLength(f"a Content-Length of {value} for a body of {len(self.body)} bytes")
        return [(name.encode("ascii"), value.strip().encode("ascii")) for name, value in self.headers]


def to_response(result: Datum | None) -> HttpResponse:
    """The response for the worker's result. Raises BadResponse."""
    if result is None:
        return HttpResponse()
    if result.type != "http":
        return text_response(str(result.value))
    told = result.value
    understood = [pair for jar in told["cookies"] or () for pair in jar.items()]  # by Python's parser; the rest is lost
    cookies = [("Set-Cookie", "; ".join(cookie_parts(name, morsel))) for name, morsel in understood]
    headers = [*single((name, str(header.value)) for name, header in told["headers"].items()), *cookies]
    return checked(status_of(told["status_code"].value), headers, told["body"].value)


def checked(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> HttpResponse:
    """A response with a status that can be sent, and without a body where it may have none. Raises BadResponse."""
    if not FIRST <= status <= LAST:
        raise BadResponse(f"the status {status} cannot be sent")
    return HttpResponse(status, tuple(headers), b"" if status in (204, 205, 304) else body)


def single(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """One header per name (without case): the last one. An empty Content-Type is dropped."""
    kept: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        if name.lower() == "content-type":
            kept["content-type"] = ("Content-Type", value)
        elif name.lower() not in SERVERS_OWN:
            kept[name.lower()] = (name, value)
    return [(name, value) for name, value in kept.values() if value or name != "Content-Type"]


def status_of(value: Any) -> int:
    """The value as a whole number; 200 if it is not one."""
    return int(value) if STATUS.fullmatch(str(value)) else OK


def text_response(text: str) -> HttpResponse:
    """A returned str. Valid JSON is parsed and written again; an object with a `body` becomes the response."""
    try:
        value = lenient_json.loads(text)
    except lenient_json.NotJson:
        return plain(text)
    told = {name.lower(): inner for name, inner in value.items()} if isinstance(value, dict) else {}
    if "body" not in told:
        return plain(lenient_json.shown(value))
    status = status_of(told.get("statuscode", told.get("status")))
    return checked(status, told_headers(told.get("headers")), told_body(told["body"]))


def told_headers(value: Any) -> list[tuple[str, str]]:
    """The `headers` of an object. Of repeated names the first counts, but the last Content-Type. Raises BadResponse."""
    headers = value if isinstance(value, dict) else {}
    if None in headers.values():
        raise BadResponse("a header of the returned object is null")
    named = {name.lower(): (name, lenient_json.shown(inner)) for name, inner in reversed(headers.items())}
    types = [lenient_json.shown(inner) for name, inner in headers.items() if name.lower() == "content-type"]
    return single([*named.values(), *(("Content-Type", each) for each in [TEXT, *types])])


def told_body(value: Any) -> bytes:
    """The `body` of an object. An object becomes JSON in one line; an array becomes the name of its .NET type."""
    if isinstance(value, list):
        return LIST
    return (lenient_json.dumps(value, None) if isinstance(value, dict) else lenient_json.shown(value)).encode()


def plain(text: str) -> HttpResponse:
    """200 with this text."""
    return HttpResponse(OK, (("Content-Type", TEXT),), text.encode())


def cookie_parts(name: str, morsel: Morsel[str]) -> Iterator[str]:
    """A cookie as ASP.NET writes it: its value escaped, domain and path always there, the attributes in this order."""
    yield f"{name}={quote(morsel.value, safe='')}"
    for attribute in ("expires", "max-age"):
        if str(morsel[attribute]):
            yield f"{attribute}={morsel[attribute]}"
    yield f"domain={morsel['domain']}"
    yield f"path={morsel['path']}"
    if morsel["secure"]:
        yield "secure"
    if morsel["samesite"]:
        yield f"samesite={str(morsel['samesite']).lower()}"
    if morsel["httponly"]:
        yield "httponly"
