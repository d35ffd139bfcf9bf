"""REDIS_ENTRA_CLIENT_ID: a token takes the place of the password, so the address may carry none, and wants TLS."""

from __future__ import annotations

import pytest

from services.settings import load_settings

CLIENT_ID = "11111111-2222-4333-8444-555555555555"
SECRET = "open-sesame"
GOOD = {
    "REDIS_URL": "rediss://cache.example:10000/0",
    "REDIS_ENTRA_CLIENT_ID": CLIENT_ID,
    "ORDERS_QUEUE": "orders",
    "ServiceBusConnection__fullyQualifiedNamespace": "bus.example",
}


def test_a_client_id_next_to_an_address_without_credentials_is_good() -> None:
    settings = load_settings(GOOD)
    assert (settings.redis_entra_client_id, settings.problems) == (CLIENT_ID, ())


def test_without_a_client_id_an_address_may_carry_a_password() -> None:
    url = f"redis://:{SECRET}@cache.example:6379/0"
    assert load_settings({**GOOD, "REDIS_ENTRA_CLIENT_ID": "", "REDIS_URL": url}).problems == ()


@pytest.mark.parametrize(
    "url",
    [
        f"rediss://:{SECRET}@cache.example:10000/0",
        f"rediss://somebody:{SECRET}@cache.example:10000/0",
        "rediss://somebody@cache.example:10000/0",
        "redis://cache.example:10000/0",
    ],
)
def test_a_password_or_a_plain_connection_next_to_a_client_id_is_named_and_left_out(url: str) -> None:
    settings = load_settings({**GOOD, "REDIS_URL": url})
    (problem,) = settings.problems
    assert problem.startswith("REDIS_URL: must be rediss://host:port/0 without user and password")
    assert SECRET not in problem
    assert settings.redis_url is None


@pytest.mark.parametrize("client_id", ["app", CLIENT_ID + "0", "{" + CLIENT_ID + "}", CLIENT_ID.replace("-", "")])
def test_an_invalid_client_id_is_named_and_left_out(client_id: str) -> None:
    settings = load_settings({**GOOD, "REDIS_ENTRA_CLIENT_ID": client_id})
    assert [problem.split(":")[0] for problem in settings.problems] == ["REDIS_ENTRA_CLIENT_ID"]
    assert settings.redis_entra_client_id is None
