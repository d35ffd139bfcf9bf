"""What the app itself raises, as one small tree; what counts as unavailable is named here once.

    AppError
    ├── OverBudget                       at full scale-out the app would open more connections than the tier allows
    ├── Refused                          the request is understood and refused: a 4xx
    │   ├── InvalidInput  BodyTooLarge  WrongContentType  NotFound  KeyReused
    │   └── Conflict                     the state of a resource forbids it; the business has its own kinds
    └── Undecidable                      a queue message that can never succeed: it ends in the dead-letter queue

The sessions have trees of their own: redis_session/errors.py and queue_session/errors.py. The HTTP answer to each
error is chosen in blueprints/web/problems.py and nowhere else. Nothing here may carry a secret: a message of these
errors is logged and may be shown to a caller.
"""

from __future__ import annotations

from typing import ClassVar

from services.queue_session import QueueUnavailable
from services.redis_session import RedisUnavailable

UNAVAILABLE = (RedisUnavailable, QueueUnavailable)  # a 503, or the message is delivered again


class AppError(Exception):
    """The root of everything the app raises on purpose."""


class OverBudget(AppError):
    """At full scale-out the app would open more Redis connections than the tier allows; the text has the numbers."""


class Refused(AppError):
    """The request is understood and refused; repeating it unchanged gives the same answer."""


class InvalidInput(Refused):
    """A body, id or header is not as documented.

    Attributes:
        fields: `(field name, what is wrong with it)`, at least one. Never holds the value that was sent.
    """

    def __init__(self, *fields: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in fields))
        self.fields = fields


class BodyTooLarge(Refused):
    """The body is over the limit; it was not parsed."""


class WrongContentType(Refused):
    """The body is not declared as application/json."""


class NotFound(Refused):
    """There is no resource with that id."""


class Conflict(Refused):
    """The state of a resource forbids it. Each kind is a subclass that says how its problem document names it."""

    name: ClassVar[str]  # the end of the problem type, e.g. "sold-out"
    title: ClassVar[str]


class KeyReused(Refused):
    """The Idempotency-Key has already made a resource with another body."""


class Undecidable(AppError):
    """A queue message that can never succeed: not JSON, wrong shape, or about something that does not exist."""
