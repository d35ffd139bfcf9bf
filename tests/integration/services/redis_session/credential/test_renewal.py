"""Ahead of its expiry a credential is renewed, in the stream of the connection that goes on serving everybody."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from services.redis_session import NotSent, RedisService, RedisUnavailable
from services.redis_session.credential import CredentialClocks, RedisCredential
from services.redis_session.multiplexed_redis import MultiplexedRedis
from tests.integration.services.redis_session.credential.conftest import QUICK, Load, Open
from tests.integration.services.redis_session.credential.identity import ADMIN, AclServer, Identity
from tests.waiting import until


class Highest(random.Random):
    """The longest wait that jitter may choose."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@pytest.fixture
async def redis_client(acl_server: AclServer) -> AsyncIterator[MultiplexedRedis]:
    """A connected client, logged in as the administrator."""
    client = MultiplexedRedis.from_url(acl_server.url, password=ADMIN)
    await client.connect()
    yield client
    await client.aclose()


async def bump(client: Redis) -> int:
    return int(await client.incr("n"))


async def whoami(client: Redis) -> str:
    return str(await client.acl_whoami())


async def test_the_session_is_who_its_credential_says(acl_server: AclServer, open_session: Open) -> None:
    session = open_session(Identity(acl_server))
    assert await session.run(whoami, idempotent=True, within_s=5) == "identity"


async def test_under_load_no_call_fails_while_tokens_expire_and_their_users_are_deleted(
    acl_server: AclServer, open_session: Open
) -> None:
    """Writes that may not be repeated, one connection; one that had missed a renewal would have been closed."""
    identity = Identity(acl_server, life_s=1.0, fresh_users=True)
    session = open_session(identity)
    async with Load(lambda: session.run(bump, idempotent=False, within_s=5)) as load:
        await until(lambda: identity.calls >= 6)
        done = load.done
        await until(lambda: load.done > done + 100)
    assert load.failures == []
    assert (session.counters.connections_opened, session.counters.recreates) == (1, 0)


async def test_a_connection_that_is_not_re_authenticated_is_closed_with_its_user(
    acl_server: AclServer, open_session: Open
) -> None:
    """The control of the test above: its server does close what it says it closes."""
    identity = Identity(acl_server, fresh_users=True)
    session = open_session(identity)
    await session.ping(5)
    acl_server.delete_user("identity-1")
    await session.ping(5)
    assert (identity.calls, session.counters.connections_opened) == (2, 2)


@pytest.mark.parametrize("kill", [False, True], ids=["and closes nothing", "and closes its connections"])
async def test_under_load_no_call_fails_when_redis_revokes_the_password(
    acl_server: AclServer, open_session: Open, kill: bool
) -> None:
    identity = Identity(acl_server)
    session = open_session(identity)
    async with Load(lambda: session.run(bump, idempotent=True, within_s=10)) as load:
        acl_server.set_user("identity", "resetpass", f">{identity.token(2)}")
        if kill:
            acl_server.kill("identity")
            await until(lambda: session.counters.connections_opened == 2)
        done = load.done
        await until(lambda: load.done > done + 100)
    assert load.failures == []
    assert identity.calls == (2 if kill else 1)


async def test_an_error_reply_to_the_new_credential_closes_nothing_and_the_next_one_is_tried(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server, life_s=1.0, fresh_users=True)
    identity.refused = {2, 3}
    session = open_session(identity)
    async with Load(lambda: session.run(bump, idempotent=False, within_s=5)) as load:
        await until(lambda: acl_server.users() == ["identity-4"])
    assert load.failures == []
    assert (session.counters.connections_opened, session.counters.recreates) == (1, 0)


async def test_a_token_that_the_endpoint_repeats_to_the_end_is_asked_for_again_but_not_in_a_loop(
    acl_server: AclServer, open_session: Open
) -> None:
    """Platforms cache tokens. In the last moments a loop would ask hundreds of times."""
    identity = Identity(acl_server, life_s=1.5)
    identity.repeats = True
    session = open_session(identity)
    await session.ping(5)
    await asyncio.sleep(1.3)  # into those last moments
    assert 3 <= identity.calls <= 30
    identity.repeats = False
    await until(lambda: identity.tokens_issued == 2)
    await session.ping(5)
    assert session.counters.connections_opened == 1


@asynccontextmanager
async def kept(keeping: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """While the block runs, so does the task that keeps a credential valid."""
    task = asyncio.create_task(keeping)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_client_that_connected_with_an_older_credential_gets_the_newest_at_once(
    acl_server: AclServer, redis_client: MultiplexedRedis
) -> None:
    """It may have been renewed while the connection was being made."""
    identity = Identity(acl_server, fresh_users=True)
    credential = RedisCredential(identity.shared())
    older = await credential.obtain()
    await redis_client.reauthenticate(older.username, older.password)
    await credential.obtain(fresh=True)
    async with kept(credential.keep(redis_client, older, redis_client.ping)):
        await until(lambda: acl_server.users() == ["identity-2"])
    identity.forget()


async def test_nothing_is_written_on_a_connection_that_is_not_proved(
    acl_server: AclServer, redis_client: MultiplexedRedis
) -> None:
    """What a dead one owed would hide that its PING is not answered."""
    identity = Identity(acl_server, fresh_users=True)
    credential = RedisCredential(identity.shared())
    older = await credential.obtain()
    await credential.obtain(fresh=True)
    asked = asyncio.Event()

    async def dead() -> None:
        asked.set()
        raise NotSent("it is dead")

    before = redis_client.counters.commands
    async with kept(credential.keep(redis_client, older, dead)):
        await asked.wait()
    assert redis_client.counters.commands == before
    identity.forget()


async def test_connections_on_the_side_take_the_newest_credential(acl_server: AclServer, open_session: Open) -> None:
    identity = Identity(acl_server, life_s=1.0, fresh_users=True)
    session = open_session(identity, connections=2)
    await session.ping(5)
    await until(lambda: identity.calls >= 4)

    async def blocking(client: Redis) -> object:
        return await client.blpop(["nothing"], 0.01)

    assert await session.run(blocking, idempotent=True, within_s=5) is None
    assert session.counters.recreates == 0


# --- a slow identity --------------------------------------------------------------------------------------------------
async def test_a_fetch_that_takes_longer_than_its_callers_have_is_made_once_and_its_result_kept(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server)
    identity.gate.clear()
    session = open_session(identity)
    for _ in range(3):
        outcomes = await asyncio.gather(*(session.ping(0.1) for _ in range(50)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {NotSent}
    identity.gate.set()
    await session.ping(5)
    assert (identity.calls, session.counters.connections_opened) == (1, 1)


async def test_a_slow_renewal_holds_up_neither_calls_nor_connects_while_the_old_token_is_valid(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server, life_s=60)
    identity.held_from = 2
    identity.gate.clear()
    session = open_session(identity, CredentialClocks(fetch_s=20, margin_s=60))
    await session.ping(5)
    async with Load(lambda: session.run(bump, idempotent=True, within_s=5)) as load:
        await until(lambda: identity.calls == 2)
        for opened in (2, 3):
            acl_server.kill("identity")
            await until(lambda opened=opened: session.counters.connections_opened == opened)  # type: ignore[misc] # its default
            done = load.done
            await until(lambda done=done: load.done > done + 100)  # type: ignore[misc] # its default
        assert not identity.gate.is_set()
    assert load.failures == []
    assert identity.calls == 2


async def test_nothing_is_ever_fetched_on_the_event_loop(acl_server: AclServer, open_session: Open) -> None:
    identity = Identity(acl_server, life_s=1.0)
    session = open_session(identity)
    await session.ping(5)
    await until(lambda: identity.calls >= 3)
    assert threading.current_thread() not in identity.threads


async def test_a_fetch_that_hangs_is_given_up_in_time_and_never_started_twice(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server)
    identity.gate.clear()
    session = open_session(identity, CredentialClocks(fetch_s=0.05))
    for _ in range(3):
        with pytest.raises(NotSent, match=r"no credential for Redis within 0\.05 s"):
            await session.healthy_client()
    assert (identity.calls, len(identity.threads)) == (1, 1)
    identity.gate.set()
    await session.ping(5)
    assert identity.calls == 1


# --- a failing identity -----------------------------------------------------------------------------------------------
async def test_while_the_old_token_is_valid_a_failing_identity_fails_no_call_and_no_connect(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server, life_s=60)
    session = open_session(identity, CredentialClocks(margin_s=60, backoff_base_s=0.05, backoff_cap_s=0.2))
    await session.ping(5)
    identity.failing = True
    async with Load(lambda: session.run(bump, idempotent=True, within_s=5)) as load:
        await until(lambda: identity.calls >= 4)
        acl_server.kill("identity")
        await until(lambda: session.counters.connections_opened == 2)
        done = load.done
        await until(lambda: load.done > done + 100)
    assert load.failures == []


async def test_a_fetch_that_ends_as_cancelled_by_itself_is_a_failure_like_any_other(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server, life_s=1.0)
    identity.error = asyncio.CancelledError
    session = open_session(identity)
    await session.ping(5)
    identity.failing = True
    await until(lambda: identity.calls >= 4)
    with pytest.raises(NotSent, match="no credential for Redis: CancelledError"):
        await until_expired(session)
    identity.failing = False
    await session.ping(5)


async def until_expired(session: RedisService) -> None:
    while True:
        assert session._credential is not None
        await session._credential.obtain()
        await asyncio.sleep(0.05)


async def test_once_the_old_token_has_expired_a_failing_identity_is_named_and_its_return_noticed(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server, life_s=1.0)
    session = open_session(identity)
    await session.ping(5)
    expired_at = time.time() + identity.life_s
    identity.failing = True
    await until(lambda: time.time() > expired_at)
    acl_server.kill("identity")
    await until(lambda: acl_server.users() == [])
    with pytest.raises(RedisUnavailable):
        await session.ping(0.3)
    with pytest.raises(NotSent, match="no credential for Redis: Refused"):
        await session.healthy_client()
    identity.failing = False
    await session.ping(5)


async def test_two_hundred_callers_make_no_storm_of_a_failing_identity(
    acl_server: AclServer, open_session: Open
) -> None:
    """For 2 seconds, with full jitter from 0.5 s to 1 s: a handful of fetches, and not one connection."""
    identity = Identity(acl_server)
    identity.failing = True
    session = open_session(identity, CredentialClocks(backoff_base_s=0.5, backoff_cap_s=1.0))
    seen = acl_server.connections_seen()
    outcomes = await asyncio.gather(*(session.ping(2) for _ in range(200)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotSent}
    assert 1 <= identity.calls <= 15
    assert acl_server.connections_seen() == seen


async def test_soon_after_a_failure_nothing_is_fetched_and_the_reason_is_given_again(acl_server: AclServer) -> None:
    identity = Identity(acl_server)
    identity.failing = True
    credential = RedisCredential(identity.shared(), CredentialClocks(backoff_base_s=60, backoff_cap_s=60), Highest())
    for _ in range(20):
        with pytest.raises(NotSent, match="no credential for Redis: Refused"):
            await credential.obtain()
    assert identity.calls == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the end of the thread
async def test_a_fetch_whose_thread_is_gone_is_replaced(acl_server: AclServer) -> None:
    """As in a forked child, which has no thread of its parent's."""
    identity = Identity(acl_server)
    works = identity.register
    identity.register = lambda _: sys.exit()  # ends a thread in silence
    credential = RedisCredential(identity.shared(), CredentialClocks(fetch_s=0.3))
    with pytest.raises(NotSent, match="within"):
        await credential.obtain()
    identity.register = works
    assert (await credential.obtain()).username == "identity"
    identity.forget()


async def test_a_credential_that_has_expired_already_is_a_failure(acl_server: AclServer, open_session: Open) -> None:
    session = open_session(Identity(acl_server, life_s=-1))
    with pytest.raises(NotSent, match="expired already"):
        await session.healthy_client()


async def test_the_short_clocks_of_these_tests_keep_the_order_of_the_real_ones() -> None:
    """A scaled margin is still shorter than a life, a backoff shorter than the margin."""
    assert QUICK.backoff_cap_s < QUICK.margin_s < 1.0
    real = CredentialClocks()
    assert real.backoff_cap_s < real.margin_s < 3600
