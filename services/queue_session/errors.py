"""What can go wrong with the Service Bus session, as one small tree.

    QueueUnavailable                 Service Bus cannot be used now; the same send may succeed a little later
    ├── QueueNotConfigured           there is no usable connection or queue name: says which, never shows it
    ├── MessageNotSent               Service Bus refused the message, or never saw it
    └── MessageOutcomeUnknown        it may have stored the message: repeat with the same MessageId only

Nothing here may carry a secret: the text of these errors is logged and may be shown to a caller.
"""

from __future__ import annotations


class QueueUnavailable(Exception):
    """Service Bus cannot be used now."""


class QueueNotConfigured(QueueUnavailable):
    """The session has no usable connection or queue name. The text says which, never the value."""


class MessageNotSent(QueueUnavailable):
    """Service Bus refused the message, or never saw it."""


class MessageOutcomeUnknown(QueueUnavailable):
    """No confirmation came: Service Bus may have stored the message. Repeat it with the same MessageId only."""
