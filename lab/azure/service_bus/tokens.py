"""What `$cbs` was told: which connection may use which entity, and until when (Claims-Based Security, put-token).

It must never keep, log or show a token: only its audience, its type and when it runs out. Nothing is verified, this is
a lab; what it proves is that a client puts a token for every entity and renews it in time.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from .peer import Peer

MAX_AUDIENCES = 100  # per connection; the oldest is forgotten
HISTORY = 10_000  # put-token calls remembered


@dataclass(frozen=True, slots=True)
class PutToken:
    """One put-token call. `expires_at` in seconds since 1970, `inf` if the token does not say."""

    audience: str
    token_type: str  # "jwt", or "servicebus.windows.net:sastoken"
    expires_at: float


class Tokens:
    """The tokens put on each connection."""

    def __init__(self, *, required: bool, clock: Callable[[], float] = time.time) -> None:
        self.required, self._clock = required, clock
        self.history: deque[PutToken] = deque(maxlen=HISTORY)
        self.count = 0
        self._held: dict[Peer, dict[str, float]] = {}

    def put(self, peer: Peer, put: PutToken) -> None:
        self.count += 1
        self.history.append(put)
        held = self._held.setdefault(peer, {})
        held.pop(path(put.audience), None)
        held[path(put.audience)] = put.expires_at
        if len(held) > MAX_AUDIENCES:
            del held[next(iter(held))]

    def sign_in(self, peer: Peer) -> None:
        """A key was shown with SASL PLAIN: it is good for the whole namespace, as long as the connection lasts."""
        self._held.setdefault(peer, {})[""] = math.inf

    def allows(self, peer: Peer, entity: str) -> bool:
        """Whether a connection holds a token in force for an entity, or for the whole namespace."""
        if not self.required:
            return True
        now = self._clock()
        held = self._held.get(peer, {})
        return any(until > now and covers(audience, entity) for audience, until in held.items())

    def forget(self, peer: Peer) -> None:
        """The connection is gone."""
        self._held.pop(peer, None)


def path(address: str) -> str:
    """The entity in `sb://namespace/entity`, `/entity` or `entity`, in lower case: the service's names have no case."""
    if "://" in address:
        address = address.split("://", 1)[1].partition("/")[2]
    return address.strip("/").lower()


def covers(audience: str, entity: str) -> bool:
    """Whether a token's audience, as a path, includes an entity; a namespace's path is empty."""
    return not audience or entity == audience or entity.startswith(f"{audience}/")


def expires_at(expiration: Any, token: Any) -> float:
    """When a token runs out, in seconds since 1970: as the call says (milliseconds), or as the token itself does."""
    if isinstance(expiration, int) and not isinstance(expiration, bool):
        return expiration / 1000
    text = token if isinstance(token, str) else ""
    try:
        if text.startswith("SharedAccessSignature "):
            return float(parse_qs(text.partition(" ")[2])["se"][0])
        claims = text.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
    except (LookupError, ValueError, TypeError, binascii.Error, RecursionError):
        return math.inf
