"""Redis does not take the credential: one fresh one at once, then patience, never a storm."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from services.redis_session import NotSent, RedisService, RedisUnavailable
from services.redis_session.credential import CredentialClocks
from tests.integration.services.redis_session.credential.conftest import Open
from tests.integration.services.redis_session.credential.identity import AclServer, Identity
from tests.waiting import until

STEADY = CredentialClocks()


async def transaction(client: Redis) -> object:
    """Over a side connection."""
    pipeline = client.pipeline()
    pipeline.incr("n")
    return await pipeline.execute()


async def with_a_revoked_token(acl_server: AclServer, open_session: Open) -> tuple[Identity, RedisService]:
    """A session that is connected, and whose side connections are refused."""
    identity = Identity(acl_server)
    session = open_session(identity, connections=2)
    await session.ping(5)
    acl_server.set_user("identity", "resetpass")
    return identity, session


async def test_a_refused_credential_is_replaced_by_exactly_one_fresh_one_and_no_call_fails(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server)
    identity.refused = {1}
    session = open_session(identity, STEADY)
    await asyncio.gather(*(session.ping(10) for _ in range(100)))
    assert (identity.calls, session.counters.connections_opened) == (2, 1)


async def test_a_fresh_credential_that_is_refused_too_is_reported_and_neither_side_is_flooded(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server)
    identity.refused = set(range(100))
    session = open_session(identity, STEADY)
    seen = acl_server.connections_seen()

    async def keep_calling() -> None:
        while True:
            with pytest.raises(RedisUnavailable):
                await session.ping(1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await asyncio.gather(*(keep_calling() for _ in range(50)))
    outcome = await asyncio.gather(session.healthy_client(), return_exceptions=True)
    assert "does not take our credentials" in str(outcome[0])
    assert identity.calls == 2
    assert acl_server.connections_seen() - seen <= 15


async def test_access_that_is_granted_later_is_found_without_a_further_fetch(
    acl_server: AclServer, open_session: Open
) -> None:
    """The access policy of a new identity takes a while to arrive."""
    identity = Identity(acl_server)
    identity.refused = {1, 2}
    session = open_session(identity, STEADY)
    outcomes = await asyncio.gather(session.ping(1), return_exceptions=True)
    assert isinstance(outcomes[0], RedisUnavailable)
    acl_server.set_user("identity", f">{identity.token(1)}", f">{identity.token(2)}")

    async def answered() -> None:
        while True:
            try:
                return await session.ping(5)
            except RedisUnavailable:
                await asyncio.sleep(0.05)

    async with asyncio.timeout(10):
        await answered()
    assert identity.calls == 2


async def test_noauth_to_a_command_reconnects_once_with_a_fresh_credential(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server)
    session = open_session(identity, STEADY)
    await session.ping(5)

    async def once_noauth(client: Redis) -> object:
        script = "if redis.call('INCR', 'n') == 1 then return redis.error_reply('NOAUTH Authentication required.') end"
        return await client.eval(script, 0)

    await session.run(once_noauth, idempotent=False, within_s=5)
    assert (identity.calls, session.counters.connections_opened) == (2, 2)


async def test_a_refusal_after_which_the_identity_fails_is_reported_and_recovered_from(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server)
    identity.refused = {1}
    session = open_session(identity, CredentialClocks(backoff_base_s=0.05, backoff_cap_s=0.2))
    with pytest.raises(NotSent, match="AuthenticationError"):
        await session.healthy_client()
    identity.failing = True
    with pytest.raises(NotSent, match="no credential for Redis: Refused"):
        await session.healthy_client()
    identity.failing = False
    await session.ping(5)
    await until(lambda: acl_server.users() == ["identity"])


async def test_a_token_that_a_new_side_connection_is_refused_with_is_replaced_and_the_shared_connection_kept(
    acl_server: AclServer, open_session: Open
) -> None:
    """It was revoked: who is connected stays so, and whoever comes with it is refused."""
    identity, session = await with_a_revoked_token(acl_server, open_session)
    assert await session.run(transaction, idempotent=False, within_s=5) == [1]
    assert (identity.calls, session.counters.connections_opened) == (2, 1)


async def test_side_connections_that_are_refused_ask_for_one_fresh_token_and_the_one_held_may_be_taken_again(
    acl_server: AclServer, open_session: Open
) -> None:
    identity, session = await with_a_revoked_token(acl_server, open_session)
    identity.refused = {2}
    for _ in range(3):
        with pytest.raises(NotSent):
            await session.run(transaction, idempotent=False, within_s=0.3)
    assert identity.calls == 2
    acl_server.set_user("identity", f">{identity.token(2)}")
    assert await session.run(transaction, idempotent=False, within_s=5) == [1]
    assert (identity.calls, session.counters.connections_opened) == (2, 1)


async def test_a_side_connection_that_is_refused_while_the_identity_fails_costs_no_token(
    acl_server: AclServer, open_session: Open
) -> None:
    identity, session = await with_a_revoked_token(acl_server, open_session)
    identity.failing = True
    with pytest.raises(NotSent):
        await session.run(transaction, idempotent=False, within_s=0.3)
    acl_server.set_user("identity", f">{identity.token(1)}")
    assert await session.run(transaction, idempotent=False, within_s=5) == [1]
