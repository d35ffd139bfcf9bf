"""When a credential is renewed: after most of its life, 3 minutes before its end at the latest, not all at once."""

from __future__ import annotations

import random
import time

import pytest

from services.redis_session.credential import Credential, CredentialClocks, RedisCredential
from tests.properties import given, st

HOUR = 3600.0


async def due_s(left_s: float, seed: int) -> float:
    """Seconds until the renewal of a credential that is valid for `left_s`."""
    fetched = Credential("user", "secret", time.time() + left_s)

    async def fetch() -> Credential:
        return fetched

    credential = RedisCredential(fetch, randomness=random.Random(seed))
    await credential.obtain()
    return credential._due_s()


@given(left_s=st.floats(1, 48 * HOUR), seed=st.integers())
async def test_it_is_never_later_than_three_minutes_before_the_expiry(left_s: float, seed: int) -> None:
    assert await due_s(left_s, seed) <= left_s - CredentialClocks().margin_s


@pytest.mark.parametrize("life_s", [HOUR, 24 * HOUR])
async def test_it_uses_most_of_the_life_and_differs_between_processes(life_s: float) -> None:
    dues = [await due_s(life_s, seed) for seed in range(50)]
    assert life_s * 0.59 < min(dues) < life_s * 0.65
    assert life_s * 0.75 < max(dues) <= life_s * 0.8


async def test_so_is_the_last_moment() -> None:
    """Of credentials with 10 minutes left, the least that msal's cache gives out."""
    dues = [600 - await due_s(600, seed) for seed in range(50)]
    assert min(dues) >= 179
    assert max(dues) - min(dues) > 20


async def test_one_that_ends_before_a_new_connection_could_renew_it_is_the_second_choice() -> None:
    lives, away = [2.0, HOUR, 2.0], False

    async def fetch() -> Credential:
        if away:
            raise OSError
        return Credential("user", f"secret-{len(lives)}", time.time() + lives.pop(0))

    credential = RedisCredential(fetch)
    first = await credential.obtain()
    second = await credential.obtain()
    assert first is not second
    assert await credential.obtain() is second
    last = await credential.obtain(fresh=True)
    away = True
    assert await credential.obtain() is last
