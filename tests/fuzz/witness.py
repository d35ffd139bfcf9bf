"""Whether Redis was written to: it counts every change itself, so that looking costs one command."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import redis

ANSWER_S = 20
DECISION_S = 20


@dataclass
class Witness:
    """Of one lab. `key`: the lab's function key."""

    redis_url: str
    url: str
    key: str

    def __post_init__(self) -> None:
        self._redis: Any = redis.Redis.from_url(self.redis_url)

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, *error: object) -> None:
        self._redis.close()

    def changes(self) -> int:
        """How often anything was written since the server started (it never saves a snapshot)."""
        return int(self._redis.info("persistence")["rdb_changes_since_last_save"])

    def contents(self) -> dict[bytes, tuple[bytes, int]]:
        """Every key with its content and its expiry."""
        return {key: (self._redis.dump(key), self._redis.pexpiretime(key)) for key in self._redis.keys("*")}

    def settle(self, location: str) -> None:
        """Wait until the order is decided: nothing is written for it after that. Raises TimeoutError."""
        address, ends_at = urlsplit(self.url), time.monotonic() + DECISION_S
        connection = HTTPConnection(str(address.hostname), address.port, timeout=ANSWER_S)
        with contextlib.closing(connection):  # unlike httpx it leaves a drop of the name `..` in the path
            while self._status_of(location, connection) == "queued":
                if time.monotonic() > ends_at:
                    raise TimeoutError(f"{location} was not decided within {DECISION_S} s")

    def _status_of(self, location: str, connection: HTTPConnection) -> str:
        connection.request("GET", location, headers={"x-functions-key": self.key})
        return str(json.loads(connection.getresponse().read())["status"])
