"""Who this process is to Redis when it has an identity instead of a password: a token, renewed ahead of its expiry.

It closes no connection that Redis still serves, and no log line, error or repr shows a token or a user. It is given
an async function that fetches a token, and does not know where from.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from .backoff import Backoff
from .errors import NotSent, RedisUnavailable
from .login import FETCH_AGAIN_S
from .multiplexed_redis import MultiplexedRedis

log = logging.getLogger(__name__)
Prove: TypeAlias = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Credential:
    """What AUTH takes, and until when (`time.time()`)."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True)
class CredentialClocks:
    """Seconds. A credential is renewed after 60 to 80 % of its life, and `margin_s` before it expires at the latest.
    `ending_s`: a new connection needs so long until it is renewed there.

    Source of 180: "Use Microsoft Entra ID for authentication", Azure Managed Redis, asks for a new AUTH at least 3
    minutes before the token expires, and for jitter.
    """

    fetch_s: float = 30.0
    margin_s: float = 180.0
    ending_s: float = 3.0
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 30.0


class RedisCredential(CredentialProvider):
    """The credential of one process, for redis-py (`credential_provider=`) and for RedisService, which renews it.

    Args:
        fetch: gets a credential that is newer, or valid for longer, than the last. It is cancelled after `fetch_s`, so
            whatever takes longer must go on by itself. What it raises is shown by its class only, a RedisUnavailable
            by its text.
        randomness: for the jitter of renewals and backoff.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Credential]],
        clocks: CredentialClocks | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self._fetch, self._clocks = fetch, clocks or CredentialClocks()
        self._random = randomness or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._backoff, self._not_before = self._new_backoff(), float("-inf")
        self._held: Credential | None = None
        self.tell: Callable[[str], None] = log.warning  # of a background task: RedisService has a caller say it
        self._failure = ""
        self._last_error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<RedisCredential {'none' if self._held is None else f'expires in {self._left_s():.0f} s'}>"

    async def get_credentials_async(self) -> tuple[str, str]:
        """(username, password) for a connection that redis-py opens. Raises NotSent."""
        credential = await self.obtain()
        return credential.username, credential.password

    async def obtain(self, *, fresh: bool = False) -> Credential:
        """The credential held, at once; a fetched one if there is none, or it has expired, or Redis refused it
        (`fresh`). One that ends before a new connection could renew it is the second choice.

        Raises NotSent if it can't be fetched, within `fetch_s` seconds; soon after a failure without trying again.
        """
        if self._held is not None and not fresh and self._left_s() > self._clocks.ending_s:
            return self._held
        try:
            return await self._fetched()
        except NotSent:
            if self._held is None or fresh or self._left_s() <= 0:
                raise
            return self._held

    async def replace(self) -> None:
        """Fetch another one, as Redis refuses the one held to new connections. Ends when that may be done again."""
        with suppress(NotSent):
            await self.obtain(fresh=True)
            await asyncio.sleep(FETCH_AGAIN_S)

    async def keep(self, client: MultiplexedRedis, used: Credential, prove: Prove) -> None:
        """Renew for as long as this task runs, and re-authenticate `client`, which connected with `used`, each time.

        `prove` before each AUTH: what a dead connection owed would hide that its PING is not answered.
        Goes on when the client has closed, so that its successor finds a valid credential; ends by cancellation only.
        """
        backoff = self._new_backoff()
        fine = self._held is used or await self._taken(client, prove)
        while True:
            wait_s = self._due_s() if fine else 0.0
            if wait_s > 0:
                backoff.reset()
            else:
                wait_s = backoff.next_wait_s()
            await asyncio.sleep(wait_s)
            fine = await self._renewed(client, prove)

    async def _renewed(self, client: MultiplexedRedis, prove: Prove) -> bool:
        try:
            await self._fetched()
        except NotSent:
            return False
        return await self._taken(client, prove)

    async def _taken(self, client: MultiplexedRedis, prove: Prove) -> bool:
        """Whether Redis takes the credential held; True, too, if the client's successor will have to show it."""
        held = self._held
        if held is None or not client.connected:
            return True
        try:
            await prove()
            await client.reauthenticate(held.username, held.password)
        except RedisUnavailable:
            return False
        except RedisError as refusal:
            self.tell(f"Redis does not take the renewed credential: {type(refusal).__name__}")
            return False
        return True

    def _left_s(self) -> float:
        return self._held.expires_at - time.time() if self._held else 0.0

    def _due_s(self) -> float:
        """Seconds until the next renewal. An endpoint may repeat its token: asked again, with ever less to wait."""
        left_s, jitter = self._left_s(), self._random.uniform
        return min(left_s * jitter(0.6, 0.8), left_s - self._clocks.margin_s * jitter(1.0, 4 / 3))

    def _new_backoff(self) -> Backoff:
        return Backoff(self._clocks.backoff_base_s, self._clocks.backoff_cap_s, self._random)

    async def _fetched(self) -> Credential:
        """A new credential, which is then the one held."""
        if time.monotonic() < self._not_before:
            raise NotSent(self._failure)
        try:
            async with asyncio.timeout(self._clocks.fetch_s):
                credential = await self._fetch()
        except TimeoutError:
            raise NotSent(f"no credential for Redis within {self._clocks.fetch_s:g} s") from None
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, whoever waits is told
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # else the fetch has raised it by itself
            self._note(error)
            raise NotSent(self._failure) from None
        if credential.expires_at <= time.time():
            self._note(RedisUnavailable("it has expired already"))
            raise NotSent(self._failure)
        self._held = credential
        self._backoff.reset()
        return credential

    def _note(self, error: BaseException) -> None:
        """Remember a failure, once however many waited for the same fetch, and put the next one off."""
        if error is self._last_error:
            return
        self._last_error = error
        reason = error if isinstance(error, RedisUnavailable) else type(error).__name__
        self._failure = f"no credential for Redis: {reason}"
        self._not_before = time.monotonic() + self._backoff.next_wait_s()
        self.tell(self._failure)
