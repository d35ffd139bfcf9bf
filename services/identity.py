"""Who the app is in Entra ID: tokens for Redis and for Service Bus, each fetched in a thread, one at a time.

Imports azure-identity, redis-entraid and msal on first use only. It does not block the event loop, show a token, or
quote an error that may quote a header.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from services.redis_session import Credential, RedisUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

RESOURCE = "https://redis.azure.com/"  # the scope https://redis.azure.com/.default, as managed identities want it
HTTP_S = 10.0  # connecting, and each read; without it requests waits for ever
TOKEN_S = 10.0  # a token for Service Bus
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w.-]*")
_ADVICE = (
    "in Azure, assign the identity to this app and set REDIS_ENTRA_CLIENT_ID to its client id; elsewhere there is no "
    "managed identity: leave REDIS_ENTRA_CLIENT_ID empty and put the password into REDIS_URL"
)
T = TypeVar("T")


class SharedFetch(Generic[T]):
    """A blocking fetch, run in a daemon thread of its own; all who wait while it runs share its result.

    It outlives the callers that give up: the next caller joins it, or takes its result, unless that has expired. A
    thread of its own, none of asyncio's, since one that hangs must not hold up the resolution of host names.

    Args:
        fetch: blocks and returns the result, or raises.
        expires_at: when a result is of no more use, in seconds since 1970.
    """

    def __init__(self, fetch: Callable[[], T], expires_at: Callable[[T], float]) -> None:
        self._fetch, self._expires_at = fetch, expires_at
        self._running: Future[T] | None = None
        self._thread: threading.Thread | None = None

    async def __call__(self) -> T:
        """The result of the running fetch, of one that nobody took, or of a new one. Raises what the fetch raises."""
        running = self._joinable() or self._start()
        await _end_of(running)
        if self._running is running:
            self._running = None  # handed over: whoever asks again wants a fresh one
        return running.result()

    def _joinable(self) -> Future[T] | None:
        running = self._running
        if running is None or (running.done() and running.exception() is not None):
            return None
        if running.done():
            return running if self._expires_at(running.result()) > time.time() else None
        return running if self._thread and self._thread.is_alive() else None  # a forked child lacks its parent's

    def _start(self) -> Future[T]:
        running = self._running = Future()
        self._thread = threading.Thread(target=self._run, args=(running,), name="token", daemon=True)
        self._thread.start()
        return running

    def _run(self, running: Future[T]) -> None:
        try:
            result = self._fetch()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - handed to whoever waits
            running.set_exception(error)
        else:
            running.set_result(result)


async def _end_of(fetch: Future[Any]) -> None:
    """Wait for it. A waiter that gives up, or whose event loop is closed, leaves nothing behind."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(ended.set)

    fetch.add_done_callback(wake)
    await ended.wait()


def redis_credential_fetch(client_id: str) -> SharedFetch[Credential]:
    """Fetches credentials of the user-assigned identity with this client id, for `RedisCredential`."""
    return SharedFetch(partial(entra_credential, client_id), lambda credential: credential.expires_at)


def entra_credential(client_id: str) -> Credential:
    """A token of the user-assigned identity with this client id; the user is the identity's object id. Blocks.

    By redis-entraid's provider, a new one each time: msal's cache in it would repeat the token that is to be replaced,
    up to 5 minutes before it expires, and redis-entraid 1.2 ignores `force_refresh` here. Raises RedisUnavailable, and
    whatever a malformed token makes PyJWT raise.
    """
    import requests
    from msal import ManagedIdentityClient, UserAssignedManagedIdentity  # type: ignore[import-untyped] # has no types
    from redis.auth.err import RequestTokenErr
    from redis_entraid.identity_provider import ManagedIdentityProvider  # type: ignore[import-untyped] # has no types

    with requests.Session() as http:
        http.trust_env = False  # the endpoint is local: no proxy leads to it
        setattr(http, "request", partial(http.request, timeout=HTTP_S))  # noqa: B010 - mypy rightly objects to assigning a method
        app = ManagedIdentityClient(UserAssignedManagedIdentity(client_id=client_id), http_client=http)
        try:
            token = ManagedIdentityProvider(app, RESOURCE).request_token()
        except RequestTokenErr as error:
            raise RedisUnavailable(f"{_reason(error)}; {_ADVICE}") from None
    username = token.try_get("oid")
    if not username:
        raise RedisUnavailable("the token has no object id (oid)")
    return Credential(username, token.get_value(), token.get_expires_at_ms() / 1000)


def _reason(error: Exception) -> str:
    """What the endpoint said, which redis-entraid wraps twice; of other errors, which may quote headers, the class."""
    cause = error.args[0] if error.args else error
    if isinstance(cause, type(error)):
        return _TOKEN.sub("***", str(cause))[:200]
    return type(cause).__name__


class SharedCredential:
    """A synchronous credential of azure-identity for the asynchronous Service Bus SDK.

    azure.identity.aio would bring aiohttp along; the synchronous credentials need only requests. The SDK gives an open
    2 s, and a first token may take longer: the fetch goes on, and the next attempt takes its result.
    """

    def __init__(self, credential: TokenCredential) -> None:
        self._credential = credential
        self._fetches: dict[tuple[str, ...], SharedFetch[AccessToken]] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for these scopes. Raises TimeoutError after TOKEN_S seconds, and what the credential raises."""
        fetch = self._fetches.get(scopes)
        if fetch is None:
            blocking = partial(self._credential.get_token, *scopes, **options)
            fetch = self._fetches[scopes] = SharedFetch(blocking, lambda token: token.expires_on)
        async with asyncio.timeout(TOKEN_S):
            return await fetch()

    async def close(self) -> None:
        """Nothing to close: the credential outlives each client."""

    async def __aenter__(self) -> SharedCredential:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Nothing to close."""


def service_bus_credential(client_id: str | None, managed: bool) -> SharedCredential:
    """The app's managed identity, or, on a developer's machine, whoever is signed in."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if managed or client_id:
        return SharedCredential(ManagedIdentityCredential(client_id=client_id))
    return SharedCredential(DefaultAzureCredential())
