"""A server that wants credentials, and sessions that are closed and checked for what they left and what they said."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from lab.azure.redis_server import RedisServer
from services.redis_session.credential import CredentialClocks, RedisCredential
from services.redis_session.redis_service import Clocks, RedisService
from tests.integration.services.redis_session.credential.identity import ADMIN, AclServer, Identity
from tests.logged import complaints_of_asyncio, log_text
from tests.waiting import until

QUICK = CredentialClocks(fetch_s=10, margin_s=0.3, ending_s=0.1, backoff_base_s=0.05, backoff_cap_s=0.2)
Open = Callable[..., RedisService]


@pytest.fixture(scope="session")
def acl_redis() -> Iterator[RedisServer]:
    """One server for all of these tests; without a password it refuses everything."""
    with RedisServer(appendonly=False, options={"requirepass": ADMIN}) as server:
        yield server


@pytest.fixture
def acl_server(acl_redis: RedisServer) -> Iterator[AclServer]:
    """The shared server, emptied."""
    server = AclServer(acl_redis)
    server.admin.flushall()
    yield server
    server.admin.close()


@pytest.fixture
async def open_session(acl_server: AclServer, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Open]:
    """Makes sessions for an identity. None may leave a task, an unread exception, or a token in a log line."""
    caplog.set_level(logging.DEBUG)
    before = asyncio.all_tasks()
    made: list[tuple[RedisService, Identity]] = []

    def make(identity: Identity, clocks: CredentialClocks = QUICK, connections: int = 1) -> RedisService:
        credential = RedisCredential(identity.shared(), clocks)
        session = RedisService(
            acl_server.url, connections=connections, clocks=Clocks(connect_s=2.0), credential=credential
        )
        made.append((session, identity))
        return session

    yield make
    for session, identity in made:
        identity.gate.set()
        await session.aclose()
        identity.forget()
    gc.collect()  # a task or an error that nobody asked for is reported here
    left = {task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("redis ")}
    assert not left
    assert complaints_of_asyncio(caplog) == []
    assert "secret-token" not in log_text(caplog)


class Load:
    """Callers that never pause; each failure is kept."""

    def __init__(self, call: Callable[[], Awaitable[object]], callers: int = 20) -> None:
        self._call, self._callers = call, callers
        self.done, self.failures = 0, list[BaseException]()

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._callers)]
        await until(lambda: self.done > self._callers or bool(self.failures))
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                await self._call()
                self.done += 1
            except Exception as error:  # noqa: BLE001 - counted
                self.failures.append(error)
                await asyncio.sleep(0.01)
