"""What a hostile client might send: hypothesis strategies for JSON bodies and for whole requests as bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

OPEN, EMPTY, CLOSED = "open", "empty", "closed"
LONGEST_ID = "x" * 64

ids = st.sampled_from([OPEN, EMPTY, CLOSED, "nowhere", LONGEST_ID, "-", "."])
fresh_ids = st.one_of(st.uuids().map(str), st.just("put-again"))  # a PUT leaves the three drops as they are
customers = st.one_of(st.uuids().map(str), ids)
odd_texts = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["", "a\n", "\x00", "..", "{x}", "x" * 65, "\u0661", "\ud800", "a:b}:meta", "*", "'; --"]),
)
odd_numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, 1, 100, 101, -1, 2**31, 2**63, 2**64, 10**400, 1e308, True])
)
junk = st.recursive(
    st.none() | odd_numbers | odd_texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_texts, inner)
)
times = st.one_of(
    st.datetimes().map(lambda time: f"{time.isoformat()}Z"),
    st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2030-02-30T00:00:00Z", "1e9", ""]),
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Three good ones to each odd one: a request that is odd everywhere is refused at its first word."""
    return st.one_of(good, good, good, junk)


quantities = st.integers(1, 100)
good_puts = st.fixed_dictionaries({"stock": st.integers(0, 1_000_000), "per_customer": quantities})
good_orders = st.fixed_dictionaries({"customer_id": customers, "quantity": quantities})
put_bodies = st.fixed_dictionaries(
    {"stock": mostly(st.integers(0, 1_000_000)), "per_customer": mostly(quantities)},
    optional={"closes_at": st.one_of(times, junk), "gift": junk},
)
order_bodies = st.fixed_dictionaries(
    {"customer_id": mostly(customers), "quantity": mostly(quantities)}, optional={"gift": junk}
)
messages = st.fixed_dictionaries(
    {"order_id": mostly(ids), "drop_id": mostly(ids), "customer_id": mostly(ids), "quantity": mostly(quantities)},
    optional={"status": junk, "placed_at": junk, "gift": junk},
)


def as_json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """As JSON in UTF-8."""
    return values.map(lambda value: json.dumps(value).encode())


def encoded(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """As JSON in a wrong encoding, as no JSON, or as JSON that is meant to hurt."""
    odd = values.flatmap(
        lambda value: st.sampled_from(
            [
                json.dumps(value).encode("utf-16"),
                b"\xef\xbb\xbf" + json.dumps(value).encode(),
                json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"),
                json.dumps(value).encode()[:-1],
                json.dumps(value).encode() * 2,
            ]
        )
    )
    deep = st.sampled_from([b"[" * 9000, b'{"a":' * 3000, b"9" * 5000, b" " * 16385, b"", b"null", b"NaN", b"{}{}"])
    twice = st.just(b'{"customer_id": "a", "quantity": 1, "quantity": 1}')
    return st.one_of(odd, deep, twice, st.binary(max_size=60))


@dataclass(frozen=True)
class Request:
    """Bytes for a connection of its own. `ends`: nothing follows them, which the server is told."""

    raw: bytes
    ends: bool


escaped = st.one_of(
    st.binary(max_size=70).map(lambda raw: quote_from_bytes(raw, safe="")),
    st.sampled_from(["..", "%2e%2e", "%2F", "%00", "%", "%zz", "%ff", "%F0%9F%8E%9F", "a;b=c", "{id}", "x" * 4000]),
)
queries = st.one_of(
    st.sampled_from(["?", "?code=", "?code=wrong", "?a=1&a=2&A=3", "?%ff=%00", "?" + "&" * 500]),
    st.sampled_from(
        ["?limit=501", "?limit=5&limit=6", "?queued_for_s=%D9%A3", "?status=,", f"?cursor={2**64}", "?cursor=7"]
    ),
)
visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
header_values = st.one_of(st.just(b"v" * 129), st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n\x00")))
hosts = st.sampled_from([b"localhost", b"localhost:7071", b"[::1]:7071", b"[", b"a/b", b"a?b#c", b"", b"\xff", b"x:y"])
content_types = st.sampled_from(
    [b"application/json; charset=utf-16", b"APPLICATION/JSON", b"text/plain", b"", b"\xff", b";", b"a" * 3000]
)
other_headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"traceparent", b"tracestate", b"Idempotency-Key", b"Content-Type", b"Accept", b"Expect", b"X"]
        ),
        header_values,
    ),
    max_size=3,
)
FRAMINGS = ("chunked", "both", "none", "short", "cut", "long", "odd")


def framed(kind: str, body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The headers that frame a body in one of the right or wrong ways, and what is sent for it."""
    size = str(len(body)).encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    length, chunked = (b"Content-Length", size), (b"Transfer-Encoding", b"chunked")
    return {
        "length": ([length], body),
        "chunked": ([chunked], chunks),
        "both": ([length, chunked], chunks),
        "none": ([], body),
        "short": ([(b"Content-Length", str(len(body) // 2).encode())], body),
        "cut": ([length], body[:-1]),
        "long": ([(b"Content-Length", str(len(body) + 1000).encode())], body),
        "odd": ([(b"Content-Length", b"-1"), (b"Content-Length", b"9" * 30)], body),
    }[kind]


TARGETS: tuple[tuple[str, str, st.SearchStrategy[Any], st.SearchStrategy[Any]], ...] = (
    ("PUT", "/api/drops/{0}", good_puts, put_bodies),
    ("POST", "/api/drops/{0}/orders", good_orders, order_bodies),
    ("POST", "/api/drops/{0}/orders", good_orders, order_bodies),
    ("GET", "/api/drops/{0}", good_orders, order_bodies),
    ("GET", "/api/drops/{0}/orders", good_orders, order_bodies),
    ("GET", "/api/drops/{0}/orders/{1}", good_orders, order_bodies),
    ("DELETE", "/api/{0}/{1}", good_orders, order_bodies),
    ("P\x00T", "/{0}", good_orders, order_bodies),
)
PARTS = ("path", "query", "host", "key", "type", "idempotency", "headers", "framing", "encoding", "body")


@st.composite
def requests(draw: st.DrawFn, key: str) -> Request:
    """A request that is odd in at most three parts: one that is odd in all is refused at its first word."""
    odd = draw(st.sets(st.sampled_from(PARTS), max_size=3))

    def part(name: str, good: st.SearchStrategy[Any], hostile: st.SearchStrategy[Any]) -> Any:
        return draw(hostile if name in odd else good)

    method, path, good_body, odd_body = draw(st.sampled_from(TARGETS))
    names = fresh_ids if method == "PUT" else ids
    target = path.format(part("path", names, escaped), part("path", names, escaped))
    target += part("query", st.just(""), queries)
    framing = part("framing", st.just("length"), st.sampled_from(FRAMINGS))
    values = odd_body if "body" in odd else good_body
    framing_headers, body = framed(framing, part("encoding", as_json(values), encoded(values)))
    headers = [
        (b"Host", part("host", st.just(b"localhost:7071"), hosts)),
        (b"Connection", b"close"),
        (b"x-functions-key", part("key", st.just(key.encode()), header_values)),
        (b"Content-Type", part("type", st.just(b"application/json"), content_types)),
        (b"Idempotency-Key", part("idempotency", visible.map(str.encode), header_values)),
        *framing_headers,
        *part("headers", st.just([]), other_headers),
    ]
    head = f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(b"%s: %s\r\n" % header for header in headers)
    return Request(head + b"\r\n" + body, ends=framing in ("cut", "long"))
