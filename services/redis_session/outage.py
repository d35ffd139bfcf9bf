"""Why Redis cannot be used, since when, and what of it still has to be logged: state and words, no I/O.

A host may drop the lines of a background task. So nothing is logged here: a caller does it, in its own invocation.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import deque

from redis.exceptions import AuthenticationError, InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .server_reply import server_state

REPEAT_S = 60.0  # a reason that lasts is logged at most so often; a refusal is remembered for so long
SILENT = "Redis does not answer"
NO_TLS = f"nobody speaks TLS there, or {SILENT}"
_STATES = {
    "READONLY": "Redis is a read-only replica",
    "NOAUTH": "Redis wants a password",
    "WRONGPASS": "the password is refused",
    "LOADING": "Redis is loading its data",
    "BUSY": "Redis is busy with a script",
    "MASTERDOWN": "the replica has lost its primary",
    "CLUSTERDOWN": "the Redis cluster is down",
    "TRYAGAIN": "the Redis cluster is moving keys",
    "NOREPLICAS": "Redis has too few replicas to write",
    "OOM": "Redis is out of memory",
    "MISCONF": "Redis cannot save its data",
    "NOPERM": "Redis does not permit a command",
    "MOVED": "the key is on another node of a Redis cluster",
    "ASK": "the key is on another node of a Redis cluster",
    "CROSSSLOT": "Redis does not take keys of several slots at once",
    "DENIED": "Redis is in protected mode",
}
_CONNECTING: tuple[tuple[type[BaseException], str, str], ...] = (  # the first whose class and text fit
    (BaseException, "max number of clients", "Redis takes no more clients"),
    (BaseException, "protected mode", _STATES["DENIED"]),
    (BaseException, "does not know HELLO", "the Redis is too old"),
    (BaseException, "DB index", "the database does not exist"),
    (BaseException, "HELLO must be called with the client already authenticated", _STATES["NOAUTH"]),
    (BaseException, "Authentication required", _STATES["NOAUTH"]),
    (AuthenticationError, "", _STATES["WRONGPASS"]),
    (ssl.SSLCertVerificationError, "", "the certificate is not trusted"),
    (ssl.SSLError, "", "TLS is not spoken there"),
    (socket.gaierror, "", "the host is unknown"),
    (UnicodeError, "", "the host is unknown"),
    (ConnectionRefusedError, "", "the connection is refused"),
    (RedisTimeoutError, "no TLS connection", NO_TLS),
    (RedisTimeoutError, "", SILENT),
    (InvalidResponse, "", "the answer is not of Redis; does the port want TLS?"),
    (BaseException, "Protocol error", "the answer is not of Redis; does the port want TLS?"),
    (BaseException, "closed the connection", "the connection is closed at once; does the port want TLS?"),
    (BaseException, "connection was lost", "the connection is closed at once; does the port want TLS?"),
)


def reason_of_code(code: str) -> str:
    """Plain words for what an error reply says about the server; they name no host, no user and no number."""
    return _STATES[code]


def reason_not_connected(error: BaseException) -> str:
    """Plain words for why a connection attempt failed; they name no host, no user and no number."""
    found = server_state(error) if isinstance(error, ResponseError) else None
    if found is not None:
        return reason_of_code(found[0])
    cause: BaseException | None = error
    while cause is not None:
        for kind, text, words in _CONNECTING:
            if isinstance(cause, kind) and text in str(cause):
                return words
        cause = cause.__cause__
    return "there is no connection to Redis"


class Outage:
    """What callers of one session need to know of each other. Times are those of the event loop, in seconds.

    `known_after_s`: how long attempts may fail or hang, without a good answer, before callers are told at once.
    """

    def __init__(self, known_after_s: float) -> None:
        self._known_after_s = known_after_s
        self.trying_since: float | None = None  # an attempt or a PING fails or hangs since then
        self.reason: str | None = None
        self._refused_at: float | None = None  # the reason is what a call was told, not that nobody answers
        self._since = self._noticed_at = 0.0
        self.notices: deque[tuple[int, str]] = deque(maxlen=8)

    def of_a_part(self) -> Outage:
        """The outage of one node of a cluster. The notices are shared, as callers of the whole cluster log them."""
        part = Outage(self._known_after_s)
        part.notices = self.notices
        return part

    def trying(self, now: float) -> None:
        """An attempt or a PING begins."""
        if self.trying_since is None:
            self.trying_since = now

    def not_heard(self, for_s: float) -> None:
        """For so long nobody could have heard an answer: that time does not count."""
        if self.trying_since is not None:
            self.trying_since += for_s

    def answered(self, now: float) -> None:
        """A connection was made, or a PING answered. That does not end a refusal."""
        self.trying_since = None
        if self.refusal(now) is None:
            self.good(now)

    def good(self, now: float) -> None:
        """A call succeeded."""
        if self.reason is not None:
            self.notices.append((logging.INFO, f"Redis can be used again, after {now - self._since:.1f} s"))
        self.reason = self._refused_at = None

    def failed(self, now: float, reason: str, detail: str, *, refused: bool = False) -> None:
        """`detail` is for the log only. `refused`: a call's reply said so."""
        if self.reason is None:
            self._since = now
        if reason != self.reason or now - self._noticed_at >= REPEAT_S:
            self._noticed_at = now
            self.note(f"Redis cannot be used: {reason} ({detail})")
        self.reason, self._refused_at = reason, now if refused else None

    def note(self, text: str) -> None:
        """A WARNING for the next caller to log; at most the last eight."""
        self.notices.append((logging.WARNING, text))

    def say(self, log: logging.Logger) -> None:
        """Log what has been noted; called by a caller, in its own invocation."""
        while self.notices:
            log.log(*self.notices.popleft())

    def left_s(self, now: float) -> float | None:
        """Seconds until the outage is known, at most 0 if it is; None while nothing is wrong."""
        return None if self.trying_since is None else self.trying_since + self._known_after_s - now

    def refusal(self, now: float) -> str | None:
        """What the last refused call was told, unless one has succeeded since or it is too long ago."""
        return self.reason if self._refused_at is not None and now - self._refused_at < REPEAT_S else None
