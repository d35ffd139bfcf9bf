"""What can go wrong, as one small tree. The HTTP answer to each is chosen in problems.py and nowhere else.

    AppError
    ├── Unavailable                      a dependency cannot be used now: 503, or the message is redelivered
    │   ├── BadSetting                   an app setting is missing or wrong: says which and why, never its value
    │   ├── RedisUnavailable
    │   │   ├── NotSent                  the command never ran: repeating it is always safe
    │   │   │   └── Overloaded           ... because too much is waiting already: repeating it makes that worse
    │   │   └── OutcomeUnknown           it was written and no reply came: it may have run
    │   └── QueueUnavailable
    │       ├── MessageNotSent           Service Bus refused the message, or never saw it
    │       └── MessageOutcomeUnknown    it may have stored the message: repeat with the same MessageId only
    ├── OverBudget                       at full scale-out the app would open more connections than the tier allows
    ├── NeedsOwnConnection               the command would block or poison the connection that everybody shares
    ├── Refused                          the request is understood and refused: a 4xx
    │   ├── InvalidInput  BodyTooLarge  WrongContentType  NotFound  KeyReused
    │   └── Conflict
    │       └── DropClosed  CustomerLimit  SoldOut  BelowConfirmed
    └── Undecidable                      a queue message that can never succeed: it ends in the dead-letter queue

Nothing here may carry a secret: a message of these errors is logged and may be shown to a caller.
"""


class AppError(Exception):
    """The root of everything this project raises on purpose."""


class Unavailable(AppError):
    """A dependency cannot be used now; the same request may succeed a little later."""


class BadSetting(Unavailable):
    """An app setting is missing or wrong. The text names the setting and the reason, never the value."""


class RedisUnavailable(Unavailable):
    """Redis cannot be used now."""


class NotSent(RedisUnavailable):
    """The command did not run: it never reached Redis, or Redis said so. Repeating it is always safe."""


class Overloaded(NotSent):
    """Not sent because the bounded backlog is full: repeating it at once makes that worse."""


class OutcomeUnknown(RedisUnavailable):
    """The command was written and no reply came: it may have run. Repeat it only if it is idempotent."""


class QueueUnavailable(Unavailable):
    """Service Bus cannot be used now."""


class MessageNotSent(QueueUnavailable):
    """Service Bus refused the message, or never saw it."""


class MessageOutcomeUnknown(QueueUnavailable):
    """No confirmation came: Service Bus may have stored the message. Repeat it with the same MessageId only."""


class OverBudget(AppError):
    """At full scale-out the app would open more Redis connections than the tier allows; the text has the numbers."""


class NeedsOwnConnection(AppError):
    """The command would block or poison the one connection that every caller shares."""


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
    """No drop, or no order, has that id."""


class Conflict(Refused):
    """The state of the drop forbids it. Each kind is a subclass with a problem type of its own."""


class DropClosed(Conflict):
    """The drop takes no more orders."""


class CustomerLimit(Conflict):
    """The order would take its customer above what the drop allows one customer."""


class SoldOut(Conflict):
    """Not enough tickets are left for the whole quantity; nothing was recorded."""


class BelowConfirmed(Conflict):
    """The new stock is lower than what has been confirmed already; nothing changed."""


class KeyReused(Refused):
    """The Idempotency-Key has already made an order with another body."""


class Undecidable(AppError):
    """A queue message that can never succeed: not JSON, wrong shape, unknown drop, or unlike its record."""
