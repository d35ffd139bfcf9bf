"""What can go wrong, as one small tree. The HTTP answer to each is chosen in problems.py and nowhere else.

    AppError
    ├── Unavailable                  a dependency cannot be used now: 503, or the message is redelivered
    │   ├── RedisUnavailable
    │   │   ├── NotSent              the command never reached Redis: repeating it is always safe
    │   │   │   └── Overloaded       ... because too much is waiting already: repeating it makes that worse
    │   │   └── OutcomeUnknown       it was written and no reply came: it may have run
    │   └── QueueUnavailable
    │       ├── MessageNotSent       Service Bus refused the message, or never saw it
    │       └── MessageOutcomeUnknown  Service Bus may have stored it; repeat with the same MessageId only
    ├── NeedsOwnConnection           the command would block or poison the connection that everybody shares
    ├── BadSetting                   an app setting is missing or wrong; says which and why, never its value
    ├── Refused                      the request is understood and refused: a 4xx with its own problem type
    └── Undecidable                  a queue message that can never succeed: it ends in the dead-letter queue

Nothing here may carry a secret: a message of these errors is logged and may be shown to a caller.
"""


class AppError(Exception):
    """The root of everything this project raises on purpose."""


class Unavailable(AppError):
    """A dependency cannot be used now; the same request may succeed a little later."""


class RedisUnavailable(Unavailable):
    """Redis cannot be used now."""


class NotSent(RedisUnavailable):
    """The command never reached Redis: repeating it is always safe."""


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


class NeedsOwnConnection(AppError):
    """The command would block or poison the one connection that every caller shares."""


class BadSetting(AppError):
    """An app setting is missing or wrong. The text names the setting and the reason, never the value."""
