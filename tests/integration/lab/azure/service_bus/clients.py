"""The real azure-servicebus SDK behind one face, so that a test runs with its sync and its aio client alike.

It must never add behaviour: the sync client's calls run in a thread, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.servicebus import ServiceBusClient
from azure.servicebus.aio import ServiceBusClient as AioServiceBusClient

from tests.clients.operations import Sync

KINDS = ("aio", "sync")
PROMPT: dict[str, Any] = {"retry_backoff_factor": 0.05}  # the default waits seconds between attempts


def leaks(test: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a test after which the SDK (7.15) leaves sockets unclosed, see the fixture `leaky_sdk`."""
    ignored = pytest.mark.filterwarnings("ignore:(unclosed|loop is closed):ResourceWarning")
    return pytest.mark.usefixtures("leaky_sdk")(ignored(test))  # type: ignore[no-any-return]  # pytest's marks are untyped here


class Client:
    """A ServiceBusClient of either kind."""

    def __init__(self, kind: str, inner: Any) -> None:
        self.kind, self.inner = kind, inner

    def sender(self, queue: str) -> Any:
        return self._face(self.inner.get_queue_sender(queue))

    def receiver(self, queue: str, **options: Any) -> Any:
        return self._face(self.inner.get_queue_receiver(queue, **options))

    async def send(self, queue: str, *messages: Any) -> None:
        """Send messages one by one on a sender of their own."""
        async with self.sender(queue) as sender:
            for message in messages:
                await sender.send_messages(message)

    async def close(self) -> None:
        result = self.inner.close()
        if self.kind == "aio":
            await result

    def _face(self, inner: Any) -> Any:
        return inner if self.kind == "aio" else Sync(inner)


def connect(kind: str, connection_string: str, **options: Any) -> Client:
    make = AioServiceBusClient if kind == "aio" else ServiceBusClient
    return Client(kind, make.from_connection_string(connection_string, **PROMPT | options))


def sign_in(kind: str, namespace: str, credential: Any, **options: Any) -> Client:
    """A client as an app with an identity builds it, sent to another address by `options`."""
    make: Any = AioServiceBusClient if kind == "aio" else ServiceBusClient
    return Client(kind, make(namespace, credential, **PROMPT | options))


async def take(receiver: Any, count: int = 1, wait_s: float = 5) -> list[Any]:
    """Receive until there are `count` messages or none comes for `wait_s`."""
    taken: list[Any] = []
    while len(taken) < count:
        more = await receiver.receive_messages(max_message_count=count - len(taken), max_wait_time=wait_s)
        if not more:
            break
        taken += more
    return taken


class Credential:
    """A token credential that makes tokens up, lasting `life_s` by `clock`, and notes the scopes it was asked for."""

    def __init__(self, clock: Callable[[], float], life_s: float) -> None:
        self._clock, self._life_s = clock, life_s
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(f"made-up-{len(self.scopes)}", int(self._clock() + self._life_s))

    def close(self) -> None: ...


class AioCredential(Credential):
    """The same for the aio client."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # type: ignore[override]  # a coroutine
        return super().get_token(*scopes, **options)

    async def close(self) -> None:  # type: ignore[override]  # a coroutine
        """The aio client closes it."""


def credential(kind: str, clock: Callable[[], float], life_s: float) -> Credential:
    return (AioCredential if kind == "aio" else Credential)(clock, life_s)
