"""The app's managed identity in Entra ID, as a credential for Redis. Imports redis-entraid and msal on first use only.

Must never be called on the event loop, never show a token, and never quote an error that may quote a header.
"""

import re
from functools import partial

from services.errors import RedisUnavailable
from services.redis_session.credential import Credential

RESOURCE = "https://redis.azure.com/"  # the scope https://redis.azure.com/.default, as managed identities want it
HTTP_S = 10.0  # connecting, and each read; without it requests waits for ever
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w.-]*")
_ADVICE = (
    "in Azure, assign the identity to this app and set REDIS_ENTRA_CLIENT_ID to its client id; elsewhere there is no "
    "managed identity: leave REDIS_ENTRA_CLIENT_ID empty and put the password into REDIS_URL"
)


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
            raise RedisUnavailable(f"{_told(error)}; {_ADVICE}") from None
    username = token.try_get("oid")
    if not username:
        raise RedisUnavailable("the token names no object id (oid)")
    return Credential(username, token.get_value(), token.get_expires_at_ms() / 1000)


def _told(error: Exception) -> str:
    """What the endpoint said, which redis-entraid wraps twice; of others, which may quote headers, the class."""
    cause = error.args[0] if error.args else error
    if isinstance(cause, type(error)):
        return _TOKEN.sub("***", str(cause))[:200]
    return type(cause).__name__
