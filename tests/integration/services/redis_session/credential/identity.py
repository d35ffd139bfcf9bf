"""A made-up identity whose tokens a real Valkey takes: its users are in the server's access control list."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import redis
from redis.exceptions import RedisError

from lab.azure.redis_server import RedisServer
from services.identity import SharedFetch
from services.redis_session import Credential

ADMIN = "admin-password"
EVERYTHING = ("~*", "&*", "+@all")


class Refused(Exception):
    """What a failing fetch raises; its text must be shown nowhere, as it could hold anything."""


class AclServer:
    """The server as its administrator sees it."""

    def __init__(self, server: RedisServer) -> None:
        self.server, self.url = server, server.url
        self.admin = redis.Redis.from_url(server.url, password=ADMIN, decode_responses=True)

    def _admin(self, *words: str) -> None:
        self.admin.execute_command(*words)  # type: ignore[no-untyped-call] # redis-py's

    def set_user(self, name: str, *rules: str) -> None:
        """ACL SETUSER: may do everything, with these rules on top."""
        self._admin("ACL", "SETUSER", name, "on", *EVERYTHING, *rules)

    def delete_user(self, name: str) -> None:
        """ACL DELUSER, which closes the connections of that user."""
        self._admin("ACL", "DELUSER", name)

    def kill(self, name: str) -> None:
        """CLIENT KILL USER; nobody of that name may be connected."""
        self._admin("CLIENT", "KILL", "USER", name)

    def users(self) -> list[str]:
        """Who is connected, but for the administrator."""
        return [str(client["user"]) for client in self.admin.client_list() if client["user"] != "default"]

    def connections_seen(self) -> int:
        """Connections accepted since the server started."""
        return int(self.admin.info("stats")["total_connections_received"])


class Identity:
    """Fetches credentials: `token-1` for user `identity`, valid for `life_s` seconds, then `token-2` ...

    `fresh_users`: each token is of a user of its own and the user before last is deleted, so that a connection that
    was not re-authenticated in time is closed. `refused`: numbers of tokens that Redis is not told of. `failing`: from
    now on each fetch raises `error`. A closed `gate` holds every fetch, from number `held_from` on.
    `repeats`: each fetch gives the last credential again.
    """

    def __init__(self, server: AclServer, life_s: float = 3600, *, fresh_users: bool = False) -> None:
        self._server, self.life_s, self._fresh_users = server, life_s, fresh_users
        self.calls, self.failing, self.refused = 0, False, set[int]()
        self.held_from, self.tokens_issued = 1, 0
        self.repeats, self.error = False, cast("type[BaseException]", Refused)
        self._last: Credential | None = None
        self.register: Callable[[int], None] = self._register
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[threading.Thread] = set()

    def user(self, number: int) -> str:
        """Whose the token of that number is."""
        return f"identity-{number}" if self._fresh_users else "identity"

    def token(self, number: int) -> str:
        """Recognizable in a log."""
        return f"eyJ-secret-token-{number}"

    def shared(self) -> SharedFetch[Credential]:
        """What RedisCredential is given: the fetch in a thread, shared by all who wait."""
        return SharedFetch(self.fetch, lambda credential: credential.expires_at)

    def fetch(self) -> Credential:
        """One fetch."""
        self.calls += 1
        number = self.calls
        self.threads.add(threading.current_thread())
        if number >= self.held_from:
            self.gate.wait(20)
        if self.failing:
            raise self.error(self.token(number))
        if self.repeats and self._last is not None:
            return self._last
        if number not in self.refused:
            self.register(number)
        self.tokens_issued += 1
        self._last = Credential(self.user(number), self.token(number), time.time() + self.life_s)
        return self._last

    def _register(self, number: int) -> None:
        self._server.set_user(self.user(number), f">{self.token(number)}")
        if self._fresh_users and number > 2:
            self._server.delete_user(self.user(number - 2))

    def forget(self) -> None:
        """Take every user of this identity from the server."""
        for number in range(self.calls + 1):
            try:
                self._server.delete_user(self.user(number))
            except RedisError:
                return
