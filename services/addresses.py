"""The addresses of Redis and Service Bus as people write them. No error here shows a key."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

REDIS_FORM = "must be redis://[user:password@]host:port/0, or rediss:// for TLS"
ENCODE = (
    "percent-encode the password: rediss://:PASSWORD@host:port/0 "
    "with / as %2F, + as %2B, = as %3D, @ as %40, # as %23, ? as %3F, % as %25"
)
_PORTAL = re.compile(r"(?:rediss?://)?([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?,.*password=", re.IGNORECASE | re.DOTALL)
_UNENCODED = re.compile(r"[/?#\[\]@]|%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"[^\s,;=%]+")
_NAMESPACE = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,9}(:[0-9]{1,5})?")
_DATABASE = re.compile(r"/?[0-9]{0,4}")


def check_redis_address(text: str) -> None:
    """Raises ValueError. Options in the address would override the session's own, such as the bound of connections."""
    if portal := _PORTAL.match(text):
        scheme, port = ("redis", 6379) if "ssl=false" in text.lower() else ("rediss", 6380)
        instead = f"{scheme}://:PASSWORD@{portal[1]}:{portal[2] or port}/0"
        raise ValueError(f"is in the form of StackExchange.Redis; write {instead} and percent-encode the password")
    if _UNENCODED.search(text.partition("://")[2].rpartition("@")[0]):
        raise ValueError(ENCODE)
    try:
        text.encode()  # an environment may hold bytes that are no UTF-8
        parts = urlsplit(text)  # its own errors may show the password
        usable = text.startswith(("redis://", "rediss://")) and _names_a_host(parts) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not _DATABASE.fullmatch(parts.path):
        raise ValueError(REDIS_FORM)
    if parts.query or parts.fragment:
        raise ValueError("must not carry options (?...): the session sets its own")


def _names_a_host(parts: SplitResult) -> bool:
    """Raises ValueError for what can be no host."""
    host = parts.hostname or ""
    host.encode("idna")
    return _HOST.fullmatch(host) is not None


def check_namespace(text: str) -> None:
    """Raises ValueError for what is not the full name of a Service Bus namespace."""
    try:
        sound = _NAMESPACE.fullmatch(text) is not None and urlsplit(f"sb://{text}").port != 0
    except ValueError:  # its port is over 65535
        sound = False
    if not sound:
        raise ValueError("must be a full name such as example.servicebus.windows.net, without sb:// and a path")


def connection_string_parts(text: str) -> dict[str, str]:
    """The parts of a Service Bus connection string, names in lower case, as the SDK reads them. Raises ValueError."""
    pairs = [part.split("=", 1) for part in text.strip().rstrip(";").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("must be a Service Bus connection string (Endpoint=sb://...)")
    return {name.lower(): value for name, value in pairs}


def check_connection_string(text: str) -> None:
    """Raises ValueError for what the SDK or the trigger would refuse at each send, in silence until then."""
    parts = connection_string_parts(text)
    try:
        endpoint = urlsplit(parts.get("endpoint", ""))
        sound = endpoint.port != 0
    except ValueError:
        raise ValueError("its Endpoint has a port that is not a number from 1 to 65535") from None
    try:
        text.encode()  # an environment may hold bytes that are no UTF-8
        sound = sound and "@" not in endpoint.netloc and _names_a_host(endpoint)
    except ValueError:
        sound = False
    if endpoint.scheme != "sb":
        raise ValueError("must be a Service Bus connection string (Endpoint=sb://...)")
    if not sound:
        raise ValueError("its Endpoint must name a host, sb://NAME.servicebus.windows.net/, and all of it be UTF-8")
    key = bool(parts.get("sharedaccesskeyname")), bool(parts.get("sharedaccesskey"))
    if bool(parts.get("sharedaccesssignature")) == any(key) or any(key) != all(key):
        raise ValueError("must hold SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature")
