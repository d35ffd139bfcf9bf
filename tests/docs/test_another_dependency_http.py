"""docs/another-dependency.md: its HTTP session against a real server, absent, killed, frozen and busy."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.examples import partner_api
from docs.examples.bounded_calls import CallNotSent, CallOutcomeUnknown, CallOverloaded, PerLoop
from lab.azure.processes import Child
from lab.azure.redis_server import free_port

SOON_S, PATIENT_S = 1.0, 30.0


class Partner:
    """The partner's server as a child process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it listens."""
        self.process = Child("partner", [sys.executable, "-I", Path(__file__).with_name("partner.py"), str(self.port)])
        while "ready" not in self.process.tail():
            assert self.process.alive, self.process.tail()
            time.sleep(0.01)


@pytest.fixture
def partner() -> Iterator[Partner]:
    server = Partner()
    server.start()
    yield server
    server.process.stop()


@pytest.fixture
async def session(partner: Partner) -> AsyncIterator[Any]:
    """Two connections, fifty more may wait."""
    here = partner_api.PartnerApi(partner.url, connections=2, waiting=50)
    yield here
    await here.client.aclose()


async def get(session: Any, path: str = "/", *, idempotent: bool = True, within_s: float = PATIENT_S) -> Any:
    """What the partner answers."""
    response = await session.call(
        lambda call: session.attempt(call, "GET", path), idempotent=idempotent, within_s=within_s
    )
    return response.json()


async def sent(partner: Partner, count: int) -> None:
    """Wait until the partner has so many slow requests."""
    while partner.process.tail().count("slow") < count:  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.01)


async def order(session: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's own function, with this session in the place of its partner."""
    monkeypatch.setattr(partner_api, "partner", PerLoop(lambda: session))
    return await partner_api.order(key, {"quantity": 1})


async def test_fifty_callers_never_have_more_connections_than_the_budget_counts(session: Any) -> None:
    await asyncio.gather(*(get(session) for _ in range(50)))
    assert (await get(session))["peak"] == 2


async def test_where_nobody_listens_a_call_is_not_sent_and_works_when_somebody_does(
    session: Any, partner: Partner
) -> None:
    partner.process.kill()
    with pytest.raises(CallNotSent, match="ConnectError"):
        await get(session, within_s=SOON_S)
    patient = asyncio.create_task(get(session, idempotent=False))
    await asyncio.sleep(0)
    await asyncio.to_thread(partner.start)
    assert await patient


async def test_a_request_whose_server_is_killed_has_an_unknown_outcome_and_is_not_repeated(
    session: Any, partner: Partner
) -> None:
    lost = asyncio.create_task(get(session, "/slow", idempotent=False))
    await sent(partner, 1)
    partner.process.kill()
    await asyncio.to_thread(partner.start)
    with pytest.raises(CallOutcomeUnknown):
        await lost


async def test_a_5xx_is_an_unknown_outcome(session: Any) -> None:
    with pytest.raises(CallOutcomeUnknown, match="503"):
        await get(session, "/broken", idempotent=False)


async def test_an_idempotent_request_outlives_a_kill_and_a_restart(session: Any, partner: Partner) -> None:
    calls = [asyncio.create_task(get(session)) for _ in range(40)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    partner.process.kill()
    await asyncio.to_thread(partner.start)
    assert all(await asyncio.gather(*calls))


async def test_a_cancelled_caller_keeps_no_connection(session: Any, partner: Partner) -> None:
    for turn in range(1, 11):
        callers = [asyncio.create_task(get(session, "/slow")) for _ in range(4)]
        await sent(partner, 2 * turn)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    assert await get(session)


async def test_past_the_bound_a_caller_is_told_at_once(session: Any) -> None:
    callers = [asyncio.create_task(get(session)) for _ in range(52)]
    await asyncio.sleep(0)
    with pytest.raises(CallOverloaded):
        await get(session)
    assert len(await asyncio.gather(*callers)) == 52
    assert await get(session)


async def test_a_frozen_server_holds_up_nobody_past_the_deadline(session: Any, partner: Partner) -> None:
    partner.process.signal(signal.SIGSTOP)
    try:
        outcomes = await asyncio.gather(
            *(get(session, idempotent=False, within_s=SOON_S) for _ in range(10)), return_exceptions=True
        )
    finally:
        partner.process.signal(signal.SIGCONT)
    assert {type(outcome) for outcome in outcomes} == {CallOutcomeUnknown, CallNotSent}
    assert sum(isinstance(outcome, CallOutcomeUnknown) for outcome in outcomes) == 2
    assert await get(session)


async def test_an_order_sent_again_under_its_key_is_one_order(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await get(session, "/busy/2/0")
    assert (await order(session, "first", monkeypatch)).status_code == 201
    assert (await order(session, "first", monkeypatch)).status_code == 201
    books = await get(session)
    assert (books["posts"], books["orders"]) == (4, 1)


async def test_after_a_429_nobody_in_the_process_calls_before_the_time_that_was_asked_for(session: Any) -> None:
    await get(session, "/busy/1/5")
    with pytest.raises(CallNotSent):
        await session.call(
            lambda call: session.attempt(call, "POST", "/orders", json={}), idempotent=True, within_s=SOON_S
        )
    with pytest.raises(CallNotSent):
        await get(session, within_s=SOON_S)
    assert (await get(session))["posts"] == 1
