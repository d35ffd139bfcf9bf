"""A synchronous credential behind the asynchronous face: one fetch for all, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading

import pytest
from azure.core.credentials import AccessToken

from services import identity
from services.identity import SharedCredential

SCOPE = "https://servicebus.azure.net//.default"


class Gated:
    """A credential that answers when it is let, with a new token each time, or fails as often as told."""

    def __init__(self, failures: int = 0, expires_on: int = 4_000_000_000) -> None:
        self.expires_on = expires_on
        self.calls, self.gate, self._failures = 0, threading.Event(), failures
        self.threads: set[threading.Thread] = set()

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        self.calls += 1
        self.threads.add(threading.current_thread())
        self.gate.wait(10)
        if self.calls <= self._failures:
            raise ConnectionError("no identity endpoint")
        return AccessToken(f"token-{self.calls}", self.expires_on)


async def test_all_who_wait_share_one_fetch_off_the_event_loop() -> None:
    gated = Gated()
    credential = SharedCredential(gated)
    waiting = [asyncio.create_task(credential.get_token(SCOPE)) for _ in range(20)]
    await asyncio.sleep(0)
    gated.gate.set()
    tokens = await asyncio.gather(*waiting)
    assert {token.token for token in tokens} == {"token-1"}
    assert threading.main_thread() not in gated.threads


async def test_a_token_whose_waiters_gave_up_is_kept_for_the_next_attempt() -> None:
    gated = Gated()
    credential = SharedCredential(gated)
    waiting = asyncio.create_task(credential.get_token(SCOPE))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gated.gate.set()
    assert (await credential.get_token(SCOPE)).token == "token-1"
    assert gated.calls == 1


async def test_a_token_whose_waiters_gave_up_is_not_handed_out_once_it_has_expired() -> None:
    gated = Gated(expires_on=1)
    credential = SharedCredential(gated)
    waiting = asyncio.create_task(credential.get_token(SCOPE))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gated.gate.set()
    for thread in gated.threads:
        thread.join(10)
    assert (await credential.get_token(SCOPE)).token == "token-2"


async def test_a_token_handed_over_is_not_given_again_so_that_a_renewal_gets_a_fresh_one() -> None:
    gated = Gated()
    gated.gate.set()
    credential = SharedCredential(gated)
    assert [(await credential.get_token(SCOPE)).token for _ in range(2)] == ["token-1", "token-2"]


async def test_a_failure_reaches_those_who_wait_and_is_not_kept() -> None:
    gated = Gated(failures=1)
    gated.gate.set()
    credential = SharedCredential(gated)
    with pytest.raises(ConnectionError):
        await credential.get_token(SCOPE)
    assert (await credential.get_token(SCOPE)).token == "token-2"


async def test_a_credential_that_hangs_holds_one_thread_however_often_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identity, "TOKEN_S", 0.02)
    gated = Gated()
    credential = SharedCredential(gated)
    for _ in range(20):
        with pytest.raises(TimeoutError):
            await credential.get_token(SCOPE)
    assert (gated.calls, len(gated.threads)) == (1, 1)
    gated.gate.set()
