"""Whether a request goes by the environment's proxies and certificates: never one to this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def trusts_proxies(url: str) -> bool:
    """False for loopback, which no proxy can reach; such a request must not fail by HTTP_PROXY or SSL_CERT_FILE."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
