"""How the service says no: one exception with the AMQP condition, the text and the status of a management answer."""

from __future__ import annotations


class Refusal(Exception):
    """A request that is not carried out. `condition` is AMQP's or Service Bus's name for why."""

    def __init__(self, condition: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.condition, self.status = condition, status


def lock_lost() -> Refusal:
    """The lock ran out, or its message is settled."""
    text = "The lock supplied is invalid. Either it ran out, or the message has already left the queue."
    return Refusal("com.microsoft:message-lock-lost", text, 410)
