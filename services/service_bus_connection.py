"""How this process reaches Service Bus: by connection string, or as an identity. Imports the SDK on first use only."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from services.errors import BadSetting

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.servicebus.aio import ServiceBusClient

TRY_S = 2.0  # one attempt of the SDK; without it a silent peer hangs a send without bound (measured, SDK 7.15)
TOKEN_S = 10.0


class ThreadedCredential:
    """A synchronous credential for the asynchronous SDK, each token fetched in a thread.

    azure.identity.aio would bring aiohttp along; the synchronous credentials need only requests.
    """

    def __init__(self, credential: "TokenCredential") -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """A token for these scopes; raises TimeoutError after TOKEN_S seconds."""
        async with asyncio.timeout(TOKEN_S):
            return await asyncio.to_thread(self._credential.get_token, *scopes, **options)

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

    async def new_client(self) -> "ServiceBusClient":
        """A new client, not yet connected. Without the SDK's own retries: who repeats must know what is known."""
        if self.connection_string is None and self.namespace is None:
            raise BadSetting("ServiceBusConnection is missing or unusable")
        client = await asyncio.to_thread(_client_class)  # half a second of imports, off the event loop
        options = {"retry_total": 0, "try_timeout": TRY_S, **self.options}
        if self.connection_string is not None:
            return client.from_connection_string(self.connection_string, **options)
        if self._made is None:
            self._made = ThreadedCredential(await asyncio.to_thread(self.credential))
        return client(str(self.namespace), self._made, **options)


def _client_class() -> "type[ServiceBusClient]":
    from azure.servicebus.aio import ServiceBusClient

    return ServiceBusClient
