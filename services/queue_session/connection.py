"""How this process reaches Service Bus: by connection string, or as an identity. Imports the SDK on first use only.

The one file of the app that knows where the SDK (7.15) needs help. It shows no key and no token.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import QueueNotConfigured

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

log = logging.getLogger(__name__)
T = TypeVar("T")

TRY_S = 2.0  # one attempt of the SDK; without it a silent peer hangs a send without bound (measured, SDK 7.15)
CLOSE_S = 1.0
# Every 30 s the SDK's keep-alive task reads from the socket too. If it takes the confirmation of a send, the send
# notices only when its own read times out: by default after 0.2 s, with every caller behind it (measured, SDK 7.15).
READ_S = 0.02
STEPS = 30  # of opening a link; a handful more than it takes
SDK_ERRORS = (Exception, asyncio.CancelledError)  # AMQP, socket, TLS and credential errors; what it cancels by itself


@dataclass
class ServiceBusConnection:
    """Where Service Bus is and who we are there. Exactly one of the first two is set, a credential with the second.

    Attributes:
        connection_string: with a shared access key or signature; never shown.
        namespace: fully qualified, e.g. `example.servicebus.windows.net`.
        credential: makes the credential for the namespace, once, in a thread.
        options: further keywords of ServiceBusClient.
    """

    connection_string: str | None = field(default=None, repr=False)
    namespace: str | None = None
    credential: Callable[[], AsyncTokenCredential] | None = None
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    _made: AsyncTokenCredential | None = field(default=None, init=False, repr=False)

    async def new_sender(self, queue_name: str) -> QueueSender:
        """A sender for one queue on a client of its own, not yet connected. Raises QueueNotConfigured."""
        return QueueSender(await self._new_client(), queue_name)

    async def _new_client(self) -> ServiceBusClient:
        """Without the SDK's own retries: whoever repeats must know how each attempt ended."""
        client = await asyncio.to_thread(_client_class)  # imports that take 0.1 to 0.5 s, off the event loop
        options = {"retry_total": 0, "try_timeout": TRY_S, **self.options}
        if self.connection_string is not None:
            try:
                return client.from_connection_string(self.connection_string, **options)
            except ValueError:
                raise QueueNotConfigured("the Service Bus connection string is malformed") from None
        if self.namespace is None or self.credential is None:
            raise QueueNotConfigured("the Service Bus connection is missing or unusable")
        if self._made is None:
            self._made = await asyncio.to_thread(self.credential)
        return client(self.namespace, self._made, **options)


def _client_class() -> type[ServiceBusClient]:
    try:
        from azure.servicebus.aio import ServiceBusClient
    except ImportError as error:
        raise QueueNotConfigured(f"azure-servicebus cannot be imported: {error}") from error
    return ServiceBusClient


class QueueSender:
    """One client of the SDK and its one sender, closed as a whole. Only one task may use it."""

    def __init__(self, client: ServiceBusClient, queue_name: str) -> None:
        self._client = client
        self.sdk: ServiceBusSender = client.get_queue_sender(queue_name, socket_timeout=READ_S)
        # The SDK forgets the socket of a connection that broke or never spoke without closing it; here it still has it.
        setattr(self.sdk, "_close_handler", partial(_close_and_cut, self.sdk, self.sdk._close_handler))  # noqa: B010 - mypy rightly objects to assigning a method
        setattr(self.sdk, "_create_handler", partial(_create_quick_handler, self.sdk, self.sdk._create_handler))  # noqa: B010 - likewise

    async def close(self) -> None:
        """Close politely for up to CLOSE_S seconds; the socket is closed in any case. Never raises."""
        try:
            await within(CLOSE_S, self._client.close())
        except SDK_ERRORS as error:  # it is broken already
            raise_if_asked_to_end(error)
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


def raise_if_asked_to_end(error: BaseException) -> None:
    """Raise a cancellation that was requested of this task; one that the SDK raises is an ordinary error."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task as often as it takes, even if the caller is cancelled meanwhile."""
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


def _create_quick_handler(sender: Any, create_handler: Any, *auth: Any) -> None:
    create_handler(*auth)
    handler = sender._handler
    handler.client_ready_async = partial(_ready, handler.client_ready_async)


async def _ready(take_a_step: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    """Open the link, each of nine steps as soon as the last is answered; the SDK sleeps 50 ms after each."""
    for _ in range(STEPS):
        if await take_a_step():  # waits up to READ_S for an answer
            return True
    return False


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
            with suppress(OSError):  # what broke it: asyncio complains of an error that nobody reads
                await writer.wait_closed()
