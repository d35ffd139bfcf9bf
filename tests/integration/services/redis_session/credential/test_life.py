"""What a credential leaves behind, and what it says: nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings

import pytest

from services.redis_session import RedisNotConfigured
from services.redis_session.credential import RedisCredential
from services.redis_session.redis_service import RedisService
from tests.integration.services.redis_session.credential.conftest import QUICK, Open
from tests.integration.services.redis_session.credential.identity import AclServer, Identity
from tests.waiting import until


async def test_closing_the_session_ends_its_renewal(acl_server: AclServer, open_session: Open) -> None:
    identity = Identity(acl_server, life_s=1.0)
    session = open_session(identity)
    await session.ping(5)
    await session.aclose()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "redis renew"] == []


async def test_however_often_it_reconnects_one_task_renews(acl_server: AclServer, open_session: Open) -> None:
    session = open_session(Identity(acl_server))
    for opened in (1, 2, 3):
        await session.ping(5)
        assert session.counters.connections_opened == opened
        acl_server.kill("identity")
        await until(lambda: acl_server.users() == [])
    assert len([task for task in asyncio.all_tasks() if task.get_name() == "redis renew"]) == 1


async def test_while_redis_is_away_the_credential_is_renewed_all_the_same(
    acl_server: AclServer, open_session: Open
) -> None:
    identity = Identity(acl_server, life_s=1.0)
    session = open_session(identity)
    await session.ping(5)
    acl_server.kill("identity")
    await until(lambda: identity.calls >= 3)
    assert session.counters.connections_opened == 1


def test_another_event_loop_takes_the_credential_along_and_leaves_the_renewal_alone(
    acl_server: AclServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    identity = Identity(acl_server)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the old loop's transport can't be closed in order any more
        _move_to_another_loop(acl_server, identity)
        gc.collect()
    identity.forget()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def _move_to_another_loop(acl_server: AclServer, identity: Identity) -> None:
    session = RedisService(acl_server.url, credential=RedisCredential(identity.shared(), QUICK))
    old = asyncio.new_event_loop()
    old.run_until_complete(session.ping(5))
    (renewing,) = [task for task in asyncio.all_tasks(old) if task.get_name() == "redis renew"]

    async def elsewhere() -> None:
        await session.ping(5)
        await session.aclose()

    asyncio.run(elsewhere())
    assert not renewing.done()
    assert not renewing.cancelling()
    assert (identity.calls, session.counters.connections_opened) == (1, 2)
    renewing.cancel()
    old.run_until_complete(asyncio.gather(renewing, return_exceptions=True))
    old.close()


def test_a_fetch_that_outlives_its_event_loop_disturbs_nobody_and_serves_the_next_one(
    acl_server: AclServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    identity = Identity(acl_server)
    identity.gate.clear()
    credential = RedisCredential(identity.shared(), QUICK)

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await credential.obtain()

    asyncio.run(impatient())
    identity.gate.set()
    for thread in list(identity.threads):
        thread.join(10)
    assert asyncio.run(credential.obtain()).username == "identity"
    assert identity.calls == 1
    identity.forget()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_no_repr_shows_a_token_or_a_user(acl_server: AclServer, open_session: Open) -> None:
    identity = Identity(acl_server)
    session = open_session(identity)
    credential = RedisCredential(identity.shared(), QUICK)
    held = await credential.obtain()
    client = await session.healthy_client()
    shown = f"{session!r} {client!r} {client.connection_pool!r} {credential!r} {held!r}"
    assert "identity" not in shown
    assert "token" not in shown


@pytest.mark.parametrize("url", [None, "redis://:open-sesame@127.0.0.1:1/0"], ids=["no address", "a password in it"])
async def test_an_address_that_does_not_go_with_a_credential_is_a_bad_setting_and_nothing_is_fetched(
    acl_server: AclServer, url: str | None
) -> None:
    identity = Identity(acl_server)
    session = RedisService(url, credential=RedisCredential(identity.shared(), QUICK))
    with pytest.raises(RedisNotConfigured, match="the address of Redis") as caught:
        await session.ping(2)
    assert "open-sesame" not in str(caught.value)
    assert identity.calls == 0
