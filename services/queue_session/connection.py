"""How this process reaches Service Bus: by connection string, or as an identity. Imports the SDK on first use only.

The one file of the app that knows where the SDK (7.15) needs help. Must never show a key or a token.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from services.errors import BadSetting

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

log = logging.getLogger(__name__)
T = TypeVar("T")

TRY_S = 2.0  # one attempt of the SDK; without it a silent peer hangs a send without bound (measured, SDK 7.15)
TOKEN_S = 10.0
CLOSE_S = 1.0


class ThreadedCredential:
    """A synchronous credential for the asynchronous SDK, each token fetched in a thread.

    azure.identity.aio would bring aiohttp along; the synchronous credentials need only requests. A fetch is shared by
    all who wait for it and outlives them: the SDK gives an open 2 s, a first token may take longer, and a credential
    that hangs holds one thread of its own, never those that asyncio resolves host names with.
    """

    def __init__(self, credential: "TokenCredential") -> None:
        self._credential = credential
        self._fetches: dict[tuple[str, ...], Future[AccessToken]] = {}

    async def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """A token for these scopes; raises TimeoutError after TOKEN_S seconds."""
        fetch = self._fetches.get(scopes)
        if fetch is None or (fetch.done() and fetch.exception()):
            fetch = self._fetches[scopes] = self._start(scopes, options)
        async with asyncio.timeout(TOKEN_S):
            await asyncio.wait([asyncio.wrap_future(_watched(fetch))])
        self._fetches.pop(scopes, None)  # handed over: the SDK asks again when it wants a fresh one
        return fetch.result()

    def _start(self, scopes: tuple[str, ...], options: dict[str, Any]) -> "Future[AccessToken]":
        fetch: Future[AccessToken] = Future()

        def run() -> None:
            try:
                fetch.set_result(self._credential.get_token(*scopes, **options))
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                fetch.set_exception(error)

        threading.Thread(target=run, name="service bus token", daemon=True).start()
        return fetch

    async def close(self) -> None:
        """Nothing to close: the credential outlives each client."""

    async def __aenter__(self) -> "ThreadedCredential":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Nothing to close."""


def _watched(fetch: "Future[AccessToken]") -> Future[None]:
    """Done when the fetch is, and never in error: a waiter that gives up leaves nothing behind to be reported."""
    watch: Future[None] = Future()
    fetch.add_done_callback(lambda _: watch.set_result(None))
    return watch


def identity_credential(client_id: str | None, managed: bool) -> "TokenCredential":
    """The app's managed identity, or, on a developer's machine, whoever is signed in."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if managed or client_id:
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential()


@dataclass
class ServiceBusConnection:
    """Where Service Bus is and who we are there. Exactly one of the first two is set; neither raises BadSetting.

    Attributes:
        connection_string: with a shared access key or signature; never shown.
        namespace: fully qualified, e.g. `example.servicebus.windows.net`.
        credential: makes the credential for the namespace, once, in a thread.
        options: further keywords of ServiceBusClient.
    """

    connection_string: str | None = field(default=None, repr=False)
    namespace: str | None = None
    credential: "Callable[[], TokenCredential]" = lambda: identity_credential(None, managed=False)
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    _made: ThreadedCredential | None = field(default=None, init=False, repr=False)

    async def new_sender(self, queue_name: str) -> "QueueSender":
        """A sender for one queue on a client of its own, not yet connected. Raises BadSetting."""
        return QueueSender(await self._new_client(), queue_name)

    async def _new_client(self) -> "ServiceBusClient":
        """Without the SDK's own retries: who repeats must know what is known."""
        if self.connection_string is None and self.namespace is None:
            raise BadSetting("ServiceBusConnection is missing or unusable")
        client = await asyncio.to_thread(_client_class)  # half a second of imports, off the event loop
        options = {"retry_total": 0, "try_timeout": TRY_S, **self.options}
        if self.connection_string is not None:
            try:
                return client.from_connection_string(self.connection_string, **options)
            except ValueError:
                raise BadSetting("ServiceBusConnection is not a connection string") from None
        if self._made is None:
            self._made = ThreadedCredential(await asyncio.to_thread(self.credential))
        return client(str(self.namespace), self._made, **options)


def _client_class() -> "type[ServiceBusClient]":
    try:
        from azure.servicebus.aio import ServiceBusClient
    except ImportError as error:
        raise BadSetting(f"azure-servicebus cannot be imported: {error}") from error
    return ServiceBusClient


class QueueSender:
    """One client of the SDK and its one sender, closed as a whole. Only one task may use it."""

    def __init__(self, client: "ServiceBusClient", queue_name: str) -> None:
        self._client = client
        self.sdk: ServiceBusSender = client.get_queue_sender(queue_name)
        # The SDK forgets the socket of a connection that broke or never spoke without closing it; here it still has it.
        setattr(self.sdk, "_close_handler", partial(_close_and_cut, self.sdk, self.sdk._close_handler))  # noqa: B010 - mypy rightly objects to assigning a method

    async def close(self) -> None:
        """Close politely for up to CLOSE_S seconds; the socket is closed in any case. Never raises."""
        try:
            await within(CLOSE_S, self._client.close())
        except Exception as error:  # noqa: BLE001 - it is broken already
            log.debug("closing the Service Bus client: %s", type(error).__name__)


async def within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Await a call of the SDK; raises TimeoutError after so many seconds.

    asyncio.timeout cancels once, and the SDK can swallow that (its `asyncio.wait_for` does on Python 3.11, when the
    cancellation and the result come together): it would then go on for as long as it likes.
    """
    task = asyncio.get_running_loop().create_task(call, name="service bus call")
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise TimeoutError(f"no answer within {seconds:g} s")
        return task.result()
    finally:
        await end(task)


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancel a task as often as it takes; to be cancelled meanwhile changes nothing about that."""
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        task.cancel()
        try:
            await asyncio.wait([task], timeout=0.05)
        except asyncio.CancelledError as error:
            interrupted = error
    if not task.cancelled():
        task.exception()  # said elsewhere, or of no more interest
    if interrupted is not None:
        raise interrupted


async def _close_and_cut(sender: Any, close_handler: Any) -> None:
    """Close the sender's handler as the SDK does, but at once, and then its socket whatever state it is in."""
    handler = sender._handler
    keep_alive, connection = getattr(handler, "_keep_alive_thread", None), getattr(handler, "_connection", None)
    if keep_alive is not None:
        handler._keep_alive_thread = None  # a task; the SDK would sit out its sleep of up to a second
        keep_alive.cancel()
    try:
        await close_handler()
    finally:
        writer = getattr(getattr(connection, "_transport", None), "writer", None)
        if writer is not None:
            writer.transport.abort()
