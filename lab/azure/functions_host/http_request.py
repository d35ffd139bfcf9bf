"""The parts of an HTTP request that reach the worker, by the rules measured on the real host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from azure.functions.meta import Datum

from lab.azure.functions_host.request_path import escape, unescape

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BodyTooLarge(ValueError):
    """The request's body is over the limit."""


class ClientGone(ConnectionError):
    """The client left before its whole body arrived: nobody waits for an answer."""


def request_datum(
    scope: Scope,
    path: str,
    headers: Mapping[str, str],
    values: tuple[Mapping[str, str], Mapping[str, str]],
    body: bytes,
) -> Datum:
    """For the worker's converter. `path` is the normalized one; `values`: those of the query and of the route."""
    query, route = values
    return Datum(
        {
            "method": Datum(str(scope["method"]).upper(), "string"),
            "url": Datum(url_of(scope, path, headers), "string"),
            "headers": texts(headers),
            "query": texts(query),
            "params": texts(route),
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def texts(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def query_values(query: str) -> dict[str, str]:
    """The query's values, unescaped: repeated keys (whatever their case) joined with a comma, empty ones dropped."""
    if not query:
        return {}
    values: dict[str, tuple[str, list[str]]] = {}
    for pair in query.split("&"):
        name, _, value = (unescape(part.replace("+", " ")) for part in pair.partition("="))
        values.setdefault(name.lower(), (name, []))[1].append(value)
    return {name: joined for name, parts in values.values() if (joined := ",".join(part for part in parts if part))}


def header_values(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by lower-case name, repeated ones joined with a comma. Raises UnicodeDecodeError: they are UTF-8."""
    values: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode()
        if name == "content-length":
            value = value.lstrip("0") or "0"
        values[name] = f"{values[name]},{value}" if name in values else value
    if "transfer-encoding" in values and "content-length" in values:
        values["x-content-length"] = values.pop("content-length")  # Kestrel does this: chunks take precedence
    return values


def url_of(scope: Scope, path: str, headers: Mapping[str, str]) -> str:
    query = scope["query_string"].decode("latin-1")
    return (
        f"{scope['scheme']}://{headers.get('host', '')}{escape(path)}{'?' if query else ''}{query.replace('#', '%23')}"
    )


async def read_body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    """The body of a request; empty if it is chunked, as on the real host. Raises BodyTooLarge or ClientGone."""
    declared = headers.get("content-length", "")
    if "transfer-encoding" in headers or not declared.isdecimal():
        return b""
    if int(declared) > limit:
        raise BodyTooLarge(f"the request's body of {declared} bytes is over the limit of {limit}")
    parts: list[bytes] = []
    more = int(declared) > 0
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        parts.append(event.get("body", b""))
        more = bool(event.get("more_body", False))
    return b"".join(parts)
