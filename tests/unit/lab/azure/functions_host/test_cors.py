"""Which origins may call, and what a preflight is answered."""

from __future__ import annotations

from typing import Any

import pytest

from lab.azure.functions_host.cors import Cors, CorsFrontend

ORIGIN = "https://a.example"


async def ask(cors: Cors, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer by an app that answers 200."""
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await CorsFrontend(app, cors)({"type": "http", "method": method, "headers": named}, None, send)  # type: ignore[arg-type]
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_an_empty_list_turns_cors_off() -> None:
    assert Cors.of(" ,") is None


@pytest.mark.parametrize(
    ("origins", "credentials", "allowed"),
    [
        ("https://a.example/,x", False, ORIGIN),
        ("*", False, "*"),
        ("*", True, ORIGIN),
        ("https://b.example", False, None),
    ],
)
async def test_an_allowed_origin_gets_the_cors_headers(origins: str, credentials: bool, allowed: str | None) -> None:
    cors = Cors.of(origins, credentials=credentials)
    assert cors is not None
    status, headers = await ask(cors, origin=ORIGIN)
    assert (status, headers.get("Access-Control-Allow-Origin")) == (200, allowed)
    assert ("Access-Control-Allow-Credentials" in headers) is credentials


async def test_a_preflight_is_204_and_never_reaches_the_app() -> None:
    wanted = {"access_control_request_method": "PUT", "access_control_request_headers": "x-a"}
    status, headers = await ask(Cors(frozenset({ORIGIN})), "OPTIONS", origin=ORIGIN, **wanted)
    shown = (headers["Access-Control-Allow-Methods"], headers["Access-Control-Allow-Headers"])
    assert (status, shown) == (204, ("PUT", "x-a"))
    assert await ask(Cors(frozenset({"x"})), "OPTIONS", origin=ORIGIN, **wanted) == (204, {})


async def test_without_an_origin_nothing_is_added() -> None:
    assert await ask(Cors(frozenset({"*"}))) == (200, {})
