"""Tokens: what an audience covers, when a token runs out, and that none is ever kept."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest

from lab.azure.service_bus.amqp_types import Timestamp
from lab.azure.service_bus.connection import Connection
from lab.azure.service_bus.tokens import MAX_AUDIENCES, PutToken, Tokens, covers, expires_at, path


@pytest.mark.parametrize(
    ("address", "entity"),
    [
        ("sb://host:5672/Orders", "orders"),
        ("amqps://host/orders/", "orders"),
        ("sb://host", ""),
        ("sb://host/", ""),
        ("/orders", "orders"),
        ("orders/$DeadLetterQueue", "orders/$deadletterqueue"),
    ],
)
def test_an_address_names_its_entity(address: str, entity: str) -> None:
    assert path(address) == entity


@pytest.mark.parametrize(
    ("audience", "entity", "covered"),
    [
        ("", "orders", True),
        ("orders", "orders", True),
        ("orders", "orders/$deadletterqueue", True),
        ("orders", "orders2", False),
        ("orders/$deadletterqueue", "orders", False),
    ],
)
def test_an_audience_covers_itself_and_what_is_below(audience: str, entity: str, covered: bool) -> None:
    assert covers(audience, entity) is covered


def jwt(claims: dict[str, Any]) -> str:
    return "h." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".s"


@pytest.mark.parametrize(
    ("expiration", "token", "expected"),
    [
        (Timestamp(5000), jwt({"exp": 9}), 5.0),
        (None, jwt({"exp": 9}), 9.0),
        (None, "SharedAccessSignature sr=x&sig=y&se=7&skn=z", 7.0),
        (None, "SharedAccessSignature sr=x", math.inf),
        (None, "nonsense", math.inf),
        (None, "a.!!!.c", math.inf),
        (None, "a." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".c", math.inf),
        (None, None, math.inf),
        (True, None, math.inf),
    ],
)
def test_the_end_is_the_calls_own_word_or_the_tokens_or_never(expiration: Any, token: Any, expected: float) -> None:
    assert expires_at(expiration, token) == expected


def make(required: bool = True) -> tuple[Tokens, Connection, list[float]]:
    now = [100.0]
    tokens = Tokens(required=required, clock=lambda: now[0])
    connection: Any = object()  # only its identity matters here
    return tokens, connection, now


def test_a_token_holds_until_it_runs_out_and_a_later_one_takes_its_place() -> None:
    tokens, connection, now = make()
    assert not tokens.allows(connection, "orders")
    tokens.put(connection, PutToken("sb://h/orders", "jwt", 110))
    assert tokens.allows(connection, "orders")
    now[0] = 109
    tokens.put(connection, PutToken("sb://h/orders", "jwt", 120))
    now[0] = 119
    assert tokens.allows(connection, "orders")
    now[0] = 120
    assert not tokens.allows(connection, "orders")


def test_what_is_not_required_is_allowed() -> None:
    tokens, connection, _ = make(required=False)
    assert tokens.allows(connection, "orders")


def test_audiences_are_bounded_and_forgotten_with_the_connection() -> None:
    tokens, connection, _ = make()
    for number in range(MAX_AUDIENCES + 10):
        tokens.put(connection, PutToken(f"sb://h/{number}", "jwt", 110))
    assert len(tokens._held[connection]) == MAX_AUDIENCES
    tokens.forget(connection)
    assert not tokens._held
    assert tokens.count == MAX_AUDIENCES + 10
