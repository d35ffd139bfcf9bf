"""redis-entraid's own provider, msal and requests, driven over HTTP against an identity endpoint on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from services import identity as entra_identity
from services.identity import entra_credential, redis_credential_fetch
from services.redis_session import RedisUnavailable
from services.redis_session.credential import RedisCredential
from services.redis_session.redis_service import RedisService
from tests.integration.services.redis_session.credential.identity import AclServer
from tests.integration.services.redis_session.credential.identity_endpoint import (
    HEADER,
    OBJECT_ID,
    IdentityEndpoint,
    new_token,
    token_answer,
)
from tests.logged import log_text

CLIENT_ID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[IdentityEndpoint]:
    """The environment of a deployed app. No token and no header may have been logged, at any level."""
    caplog.set_level(logging.DEBUG)
    with IdentityEndpoint() as running:
        monkeypatch.setenv("IDENTITY_ENDPOINT", running.url)
        monkeypatch.setenv("IDENTITY_HEADER", HEADER)
        monkeypatch.delenv("IDENTITY_SERVER_THUMBPRINT", raising=False)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield running
    text = log_text(caplog)
    assert HEADER not in text
    assert not [token for token in running.tokens if token in text]


def failure() -> str:
    """What a fetch that fails says."""
    with pytest.raises(RedisUnavailable) as caught:
        entra_credential(CLIENT_ID)
    return str(caught.value)


def test_user_and_password_are_the_tokens_object_id_and_the_token(endpoint: IdentityEndpoint) -> None:
    credential = entra_credential(CLIENT_ID)
    assert (credential.username, credential.password) == (OBJECT_ID, endpoint.tokens[0])


def test_the_expiry_is_the_tokens_own(endpoint: IdentityEndpoint) -> None:
    endpoint.answer = (200, token_answer(new_token(1, exp=4_000_000_000)))
    assert entra_credential(CLIENT_ID).expires_at == 4_000_000_000


def test_the_endpoint_is_asked_for_this_identity_at_redis(endpoint: IdentityEndpoint) -> None:
    """The scope https://redis.azure.com/.default, in the form managed identities take it; past any proxy."""
    entra_credential(CLIENT_ID)
    (query,) = endpoint.requests
    assert (query["client_id"], query["resource"]) == (CLIENT_ID, "https://redis.azure.com/")


def test_each_fetch_reaches_the_endpoint_past_the_cache_of_msal(endpoint: IdentityEndpoint) -> None:
    first, second = entra_credential(CLIENT_ID), entra_credential(CLIENT_ID)
    assert first.password != second.password


def test_what_the_endpoint_says_is_passed_on_with_advice_but_for_tokens(endpoint: IdentityEndpoint) -> None:
    token = new_token(1)
    endpoint.answer = (400, {"statusCode": 400, "message": f"No identity found for ClientId, got {token}"})
    output = failure()
    assert output.startswith("400, No identity found for ClientId, got ***; in Azure, assign the identity")
    assert token not in output


def test_without_a_managed_identity_it_says_what_to_do(
    endpoint: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/")
    assert failure().endswith("leave REDIS_ENTRA_CLIENT_ID empty and put the password into REDIS_URL")


def test_an_endpoint_that_hangs_is_given_up(endpoint: IdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entra_identity, "HTTP_S", 0.1)
    endpoint.gate.clear()
    assert failure().startswith("ReadTimeout; ")


def test_an_answer_that_is_not_json_is_named_not_quoted(endpoint: IdentityEndpoint) -> None:
    endpoint.answer = (502, "<html>proxy error</html>")
    assert failure().startswith("JSONDecodeError; ")


def test_a_token_without_an_object_id_is_refused(endpoint: IdentityEndpoint) -> None:
    endpoint.answer = (200, token_answer(new_token(1, oid=None)))
    assert failure() == "the token has no object id (oid)"


async def test_a_malformed_token_is_shown_by_no_error(endpoint: IdentityEndpoint) -> None:
    endpoint.answer = (200, token_answer("not-a-token-but-secret"))
    with pytest.raises(RedisUnavailable) as caught:
        await RedisCredential(redis_credential_fetch(CLIENT_ID)).obtain()
    assert str(caught.value) == "no credential for Redis: DecodeError"


async def test_a_session_is_at_redis_as_the_object_id_of_its_identity(
    endpoint: IdentityEndpoint, acl_server: AclServer
) -> None:
    endpoint.answer = (200, token_answer(token := new_token(1)))
    acl_server.set_user(OBJECT_ID, f">{token}")
    session = RedisService(acl_server.url, credential=RedisCredential(redis_credential_fetch(CLIENT_ID)))

    async def whoami(client: Redis) -> str:
        return str(await client.acl_whoami())

    assert await session.run(whoami, idempotent=True, within_s=10) == OBJECT_ID
    await session.aclose()
    acl_server.delete_user(OBJECT_ID)
