"""What can go wrong with the Redis session, as one small tree.

    RedisSessionError
    ├── RedisUnavailable                 Redis cannot be used now; the same call may succeed a little later
    │   ├── RedisNotConfigured           there is no usable address: says why, never shows it
    │   ├── NotSent                      the command never ran: repeating it is always safe
    │   │   └── Overloaded               ... because too much is waiting already: repeating it makes that worse
    │   └── OutcomeUnknown               it was written and no reply came: it may have run
    └── NeedsOwnConnection               the command would block or change the connection that all callers share

RedisUnavailable and those below it are redis-py's `RedisError`, too: libraries that take a client expect that. They are
not its ConnectionError, to which redis-py's own code would react.

Nothing here may carry a secret: the text of these errors is logged and may be shown to a caller.
"""

from __future__ import annotations

from redis.exceptions import RedisError


class RedisSessionError(Exception):
    """The root of everything the session raises on purpose."""


class RedisUnavailable(RedisSessionError, RedisError):
    """Redis cannot be used now. `reason`: why, in plain words that anybody may see, where that is known."""

    def __init__(self, text: str = "", reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.known_outage = False  # it was not tried: an outage is known

    __repr__ = Exception.__repr__  # redis-py 8's own leaves the text out


class RedisNotConfigured(RedisUnavailable):
    """The session has no usable address. The text says what is wrong with it, never its value."""


class NotSent(RedisUnavailable):
    """The command did not run: it never reached Redis, or Redis said so. Repeating it is always safe."""


class Overloaded(NotSent):
    """Not sent because the bounded backlog is full: repeating it at once makes that worse."""


class OutcomeUnknown(RedisUnavailable):
    """The command was written and no reply came: it may have run. Repeat it only if it is idempotent."""


class NeedsOwnConnection(RedisSessionError):
    """The command would block or change the one connection that every caller shares."""
