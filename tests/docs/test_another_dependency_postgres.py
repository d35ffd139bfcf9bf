"""docs/another-dependency.md: its PostgreSQL session against a real PostgreSQL, full, killed and frozen."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from services.redis_session import RedisNotConfigured
from tests import ROOT
from tests.docs.postgres_server import PostgresServer

SOON_S, PATIENT_S = 1.0, 30.0
MOST = 10  # connections that the server takes

pytestmark = pytest.mark.timeout(120)
Page = dict[str, ModuleType]
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer(max_connections=MOST) as server:
        yield server


@pytest.fixture
async def open_session(page: Page, postgres: PostgresServer) -> AsyncIterator[Open]:
    """Makes a session; at the end of the test it is closed and its tasks have ended."""
    sessions: list[Any] = []

    def make(**bounds: int) -> Any:
        sessions.append(page["postgres_service"].PostgresService(f"{postgres.dsn}&application_name=page", **bounds))
        return sessions[-1]

    yield make
    for session in sessions:
        await quiet(session)
        await session.aclose()
    async with watching(postgres) as watcher:
        await until(partial(backends, watcher), equals=0)


async def until(condition: Callable[[], Any], *, equals: Any) -> None:
    """Wait for what offers no event. Bounded here: pytest-timeout guards no teardown after a failure."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            found = condition()
            if (await found if asyncio.iscoroutine(found) else found) == equals:
                return
            await asyncio.sleep(0.01)


async def quiet(session: Any) -> None:
    """Wait until it has given back every connection."""
    await until(partial(len, session._loops.here()._tasks), equals=0)


@contextlib.asynccontextmanager
async def watching(postgres: PostgresServer) -> AsyncIterator[Any]:
    """A connection that is not the session's."""
    connection = await asyncpg.connect(postgres.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def backends(watcher: Any, doing: str = "%") -> int:
    """How many connections of ours the server has."""
    counted = "select count(*) from pg_stat_activity where application_name = 'page' and query like $1"
    return int(await watcher.fetchval(counted, doing))


async def backend(connection: Any) -> int:
    return int(await connection.fetchval("select pg_backend_pid() from pg_sleep(0.02)"))


async def sleep_long(connection: Any) -> None:
    await connection.execute("select pg_sleep(600)")


async def sleep_long_in_a_transaction(connection: Any) -> None:
    async with connection.transaction():
        await sleep_long(connection)


async def at_work(session: Any, watcher: Any, operation: Any = sleep_long, **how: Any) -> asyncio.Task[None]:
    """A caller whose statement runs on the server."""
    task = asyncio.create_task(session.run(operation, **{"idempotent": False, "within_s": PATIENT_S} | how))
    await until(partial(backends, watcher, "select pg_sleep(600)"), equals=1)
    return task


async def test_fifty_callers_never_have_more_connections_than_the_budget_counts(
    open_session: Open, postgres: PostgresServer
) -> None:
    session, seen = open_session(connections=2), set()
    async with watching(postgres) as watcher:
        calls = [asyncio.create_task(session.run(backend, idempotent=True, within_s=PATIENT_S)) for _ in range(50)]
        while not all(call.done() for call in calls):
            seen.add(await backends(watcher))
        assert len({await call for call in calls}) == 2
        assert max(seen) == 2


async def test_building_a_session_does_nothing_until_it_is_used(page: Page) -> None:
    page["postgres_service"].PostgresService("postgresql://127.0.0.1:1/nowhere")


async def test_a_full_server_is_not_sent_with_the_reason_and_recovers_by_itself(
    open_session: Open, postgres: PostgresServer, page: Page
) -> None:
    session = open_session()
    async with contextlib.AsyncExitStack() as others:
        for _ in range(MOST):
            await others.enter_async_context(watching(postgres))
        with pytest.raises(page["bounded_calls"].CallNotSent, match="TooManyConnectionsError"):
            await session.run(backend, idempotent=False, within_s=SOON_S)
        patient = asyncio.create_task(session.run(backend, idempotent=False, within_s=PATIENT_S))
        await asyncio.sleep(0)
    assert await patient


async def test_fifty_callers_at_a_full_server_make_few_attempts_and_one_at_a_time(
    open_session: Open, postgres: PostgresServer, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, connect = open_session(), asyncpg.connect
    running: list[None] = []
    attempts: list[int] = []

    async def counted(*args: Any, **kwargs: Any) -> Any:
        running.append(None)
        attempts.append(len(running))
        try:
            return await connect(*args, **kwargs)
        finally:
            running.pop()

    async with contextlib.AsyncExitStack() as others:
        for _ in range(MOST):
            await others.enter_async_context(watching(postgres))
        monkeypatch.setattr(asyncpg, "connect", counted)
        calls = [session.run(backend, idempotent=True, within_s=SOON_S) for _ in range(50)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {page["bounded_calls"].CallNotSent}
    assert set(attempts) == {1}
    assert len(attempts) <= 4  # half a second apart, and one may outlive its caller


@pytest.mark.parametrize("operation", [sleep_long, sleep_long_in_a_transaction])
async def test_a_statement_whose_server_is_killed_has_an_unknown_outcome_and_is_not_repeated(
    open_session: Open, postgres: PostgresServer, page: Page, operation: Any
) -> None:
    session, runs = open_session(), []

    async def counted(connection: Any) -> None:
        runs.append(connection)
        await operation(connection)

    async with watching(postgres) as watcher:
        lost = await at_work(session, watcher, counted)
        postgres.kill()
    with pytest.raises(page["bounded_calls"].CallOutcomeUnknown):
        await lost
    assert len(runs) == 1
    with pytest.raises(page["bounded_calls"].CallNotSent):
        await session.run(backend, idempotent=True, within_s=SOON_S)
    await asyncio.to_thread(postgres.start)
    assert await session.run(backend, idempotent=False, within_s=PATIENT_S)


async def test_idempotent_calls_outlive_a_kill_and_a_restart(open_session: Open, postgres: PostgresServer) -> None:
    session = open_session()
    calls = [asyncio.create_task(session.run(backend, idempotent=True, within_s=PATIENT_S)) for _ in range(100)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    postgres.kill()
    await asyncio.to_thread(postgres.start)
    assert all(await asyncio.gather(*calls))


async def test_a_cancelled_caller_ends_his_statement_and_keeps_no_connection(
    open_session: Open, postgres: PostgresServer
) -> None:
    session = open_session(connections=1)
    async with watching(postgres) as watcher:
        before = await session.run(backend, idempotent=True, within_s=PATIENT_S)
        for _ in range(5):
            caller = await at_work(session, watcher)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            assert await session.run(backend, idempotent=True, within_s=PATIENT_S) == before
            assert await backends(watcher, "select pg_sleep(600)") == 0


async def test_a_caller_leaves_neither_a_transaction_nor_a_setting_to_the_next(open_session: Open) -> None:
    session = open_session(connections=1)
    await session.run(lambda c: c.execute("begin; set statement_timeout = 77"), idempotent=True, within_s=PATIENT_S)
    left = await session.run(lambda c: c.fetchval("show statement_timeout"), idempotent=True, within_s=PATIENT_S)
    assert left == "0"


async def test_past_the_bound_a_caller_is_told_at_once_and_those_who_wait_are_served(
    open_session: Open, postgres: PostgresServer, page: Page
) -> None:
    session = open_session(connections=1, waiting=3)
    async with watching(postgres) as watcher:
        first = await at_work(session, watcher)
        others = [asyncio.create_task(session.run(backend, idempotent=True, within_s=PATIENT_S)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(page["bounded_calls"].CallOverloaded):
            await session.run(backend, idempotent=True, within_s=PATIENT_S)
        first.cancel()
        assert all(await asyncio.gather(*others))
    assert await session.run(backend, idempotent=True, within_s=PATIENT_S)


@pytest.mark.parametrize("operation", [sleep_long, sleep_long_in_a_transaction])
async def test_a_frozen_server_holds_up_nobody_past_the_deadline_and_serves_again_when_it_thaws(
    open_session: Open, postgres: PostgresServer, page: Page, operation: Any
) -> None:
    calls = page["bounded_calls"]
    session = open_session(connections=1)
    await session.run(backend, idempotent=True, within_s=PATIENT_S)
    await quiet(session)
    with postgres.frozen():
        with pytest.raises(calls.CallOutcomeUnknown):
            await session.run(operation, idempotent=False, within_s=SOON_S)
        with pytest.raises(calls.CallNotSent):
            await session.run(operation, idempotent=False, within_s=SOON_S)
    assert await session.run(backend, idempotent=False, within_s=PATIENT_S)


async def test_the_server_itself_ends_a_statement_whose_client_is_gone(page: Page, postgres: PostgresServer) -> None:
    clocks = page["postgres_service"].CLOCKS
    connection = await asyncpg.connect(f"{postgres.dsn}&application_name=page", **clocks)
    statement = asyncio.create_task(sleep_long(connection))
    async with watching(postgres) as watcher:
        await until(partial(backends, watcher, "select pg_sleep(600)"), equals=1)
        connection.terminate()
        await until(partial(backends, watcher), equals=0)
    assert isinstance((await asyncio.gather(statement, return_exceptions=True))[0], asyncpg.PostgresConnectionError)


async def test_a_statement_that_cannot_be_cancelled_costs_its_connection_and_nobody_elses_turn(
    open_session: Open, postgres: PostgresServer, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page["postgres_service"], "TIDY_S", 0.1)
    session = open_session(connections=1)
    async with watching(postgres) as watcher:
        abandoned = await at_work(session, watcher)
        with postgres.frozen():
            abandoned.cancel()
            await quiet(session)
        assert await session.run(backend, idempotent=True, within_s=PATIENT_S)
        await until(partial(backends, watcher, "select pg_sleep(600)"), equals=0)


async def test_a_connection_that_was_not_used_for_long_is_replaced(
    open_session: Open, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(connections=1)
    first = await session.run(backend, idempotent=True, within_s=PATIENT_S)
    assert await session.run(backend, idempotent=True, within_s=PATIENT_S) == first
    monkeypatch.setattr(page["postgres_service"], "IDLE_S", 0.0)
    assert await session.run(backend, idempotent=True, within_s=PATIENT_S) != first


async def test_a_handshake_outlives_the_caller_who_began_it_and_his_operation_is_not_run(
    open_session: Open, postgres: PostgresServer, page: Page
) -> None:
    session, runs = open_session(), []

    async def counted(connection: Any) -> None:
        runs.append(connection)

    with postgres.frozen(), pytest.raises(page["bounded_calls"].CallNotSent):
        await session.run(counted, idempotent=True, within_s=SOON_S)
    await until(partial(len, session._loops.here()._idle), equals=1)
    assert runs == []


async def test_a_statement_that_the_server_rolled_back_is_repeated_even_if_not_idempotent(open_session: Open) -> None:
    session, runs = open_session(), []

    async def deadlocked_once(connection: Any) -> int:
        runs.append(connection)
        if len(runs) == 1:
            await connection.execute("do $$ begin raise sqlstate '40P01'; end $$")
        return await backend(connection)

    assert await session.run(deadlocked_once, idempotent=False, within_s=PATIENT_S)
    assert len(runs) == 2


async def test_an_error_of_the_statement_passes_and_is_not_repeated(open_session: Open) -> None:
    session, runs = open_session(), []

    async def wrong(connection: Any) -> None:
        runs.append(connection)
        await connection.execute("select 1/0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await session.run(wrong, idempotent=True, within_s=PATIENT_S)
    assert len(runs) == 1


async def test_a_timeout_of_the_operation_itself_passes(open_session: Open) -> None:
    async def late(connection: Any) -> None:
        async with asyncio.timeout(0):
            await sleep_long(connection)

    with pytest.raises(TimeoutError):
        await open_session().run(late, idempotent=True, within_s=PATIENT_S)


def test_another_event_loop_gets_a_session_of_its_own(page: Page, postgres: PostgresServer) -> None:
    session = page["postgres_service"].PostgresService(postgres.dsn)

    async def once() -> int:
        return int(await session.run(backend, idempotent=True, within_s=PATIENT_S))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the connection of the dead loop is left to the collector
        assert asyncio.run(once()) != asyncio.run(once())
        session._loops = None
        gc.collect()


FORK = """
import asyncio, gc, os, pathlib, sys
from tests.docs import another_dependency

pages = another_dependency.load(pathlib.Path(sys.argv[1]))
session = pages["postgres_service"].PostgresService(sys.argv[2])

async def backend():
    found = await session.run(lambda c: c.fetchval("select pg_backend_pid()"), idempotent=False, within_s=10)
    gc.collect()
    return found

loop = asyncio.new_event_loop()
before = loop.run_until_complete(backend())
while session._loops.session._tasks:
    loop.run_until_complete(asyncio.sleep(0.01))
child = os.fork()
if not child:
    os._exit(asyncio.run(backend()) == before)
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(ended, loop.run_until_complete(backend()) == before)
loop.run_until_complete(session.aclose())
"""


async def test_a_forked_child_connects_anew_and_leaves_its_parents_connection_alone(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", FORK, str(tmp_path), postgres.dsn]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0 True", done.stderr


async def test_no_secret_shows_in_what_is_printed_or_raised(
    open_session: Open, postgres: PostgresServer, page: Page
) -> None:
    session = open_session()
    assert "hush-hush" not in repr(session) + repr(session._loops.here())
    wrong = page["postgres_service"].PostgresService("postgresql://me:hush-hush@127.0.0.1:hush-hush/x")
    with pytest.raises(RedisNotConfigured) as caught:
        await wrong.run(backend, idempotent=True, within_s=SOON_S)
    assert "hush-hush" not in str(caught.value)
