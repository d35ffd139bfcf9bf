"""Where a Service Bus is and how to sign in: a connection string, or a namespace with an identity.

The one place of the lab that makes an azure-servicebus client. Must never show a key: not in a repr, not in an error.
It must not import the app's `services`: the host serves any folder's app, whose package of that name would be hidden.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.servicebus.aio import ServiceBusClient

TRY_TIMEOUT_S = 5.0  # without it a peer that accepts and says nothing hangs an open for ever (measured)
TOKEN_S = 30.0
PREFIX = "AzureWebJobs"  # the host also looks a connection up with this prefix


@dataclass(frozen=True)
class ServiceBusConnection:
    """A `connection_string`, or a `namespace` (fully qualified) to sign in to; `client_id` picks a managed identity."""

    connection_string: str = field(default="", repr=False)
    namespace: str = ""
    client_id: str = ""

    def client(self, credential: AsyncTokenCredential | None = None) -> ServiceBusClient:
        """A new client with bounded attempts and no retries. `credential` stands in for the signed-in identity.

        Raises ValueError if the connection string is malformed.
        """
        from azure.servicebus.aio import ServiceBusClient  # when used: half a second that HTTP need not wait for

        options: dict[str, Any] = {"retry_total": 0, "try_timeout": TRY_TIMEOUT_S}
        if self.connection_string:
            return ServiceBusClient.from_connection_string(self.connection_string, **options)
        return ServiceBusClient(self.namespace, credential or signed_in_identity(self.client_id), **options)


def find_connection(name: str, settings: Mapping[str, str]) -> ServiceBusConnection | None:
    """The connection a setting's name stands for, as the host looks it up; None if it is not set.

    Source: "Connections", Service Bus trigger reference: `<NAME>` or `<NAME>__fullyQualifiedNamespace`.
    """
    for known in (name, PREFIX + name):
        if settings.get(known):
            return ServiceBusConnection(connection_string=settings[known])
        if settings.get(f"{known}__fullyQualifiedNamespace"):
            return ServiceBusConnection(
                namespace=settings[f"{known}__fullyQualifiedNamespace"],
                client_id=settings.get(f"{known}__clientId", ""),
            )
    return None


def signed_in_identity(client_id: str = "") -> ThreadedCredential:
    """Whoever is signed in on this machine, or the managed identity `client_id` (azure-identity's default chain)."""
    from azure.identity import DefaultAzureCredential  # only when an identity is used

    return ThreadedCredential(DefaultAzureCredential(managed_identity_client_id=client_id or None))


class ThreadedCredential:
    """A sync credential for an async client: `azure.identity.aio` would need aiohttp, a thread needs nothing."""

    def __init__(self, credential: TokenCredential) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for `scopes`, fetched in a thread. Raises TimeoutError after 30 s."""
        async with asyncio.timeout(TOKEN_S):
            return await asyncio.to_thread(self._credential.get_token, *scopes, **options)

    async def close(self) -> None:
        """Close the credential, if it can be closed."""
        if close := getattr(self._credential, "close", None):
            await asyncio.to_thread(close)

    async def __aenter__(self) -> ThreadedCredential:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
