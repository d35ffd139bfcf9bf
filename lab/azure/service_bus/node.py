"""What the protocol asks of whoever gives links a meaning, and how much one peer may take.

A contract between `connection`, `session` and `link` below and `service` above: the lower floor must never know more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .amqp_types import Described
    from .connection import Connection
    from .link import Delivery, Link

MAX_FRAME = 65536  # bytes we accept in one frame
MAX_MESSAGE = 256 * 1024  # bytes; Standard tier (page "Service Bus quotas")
MAX_SESSIONS = 64  # per connection
MAX_LINKS = 255  # per session
MAX_PARTIALS = 16  # messages under way in pieces, per connection
LINK_CREDIT = 500  # messages a sender may have unconfirmed
WINDOW = 2048  # transfer frames a session may have unacknowledged
MAX_UNSETTLED = 5000  # deliveries a session remembers; the oldest is forgotten, its lock runs out by itself
WRITE_BUFFER = 1024 * 1024  # bytes a peer may leave unread before we stop serving and reading it
HANDSHAKE_S = 30.0  # from connect to open
IDLE_S = 120.0  # announced idle-time-out: a peer silent for twice as long is dropped


class Node(Protocol):
    """Gives links a meaning. Every method runs on the event loop and must not block."""

    def connected(self, connection: Connection) -> bool:
        """Whether a new connection may stay."""

    def disconnected(self, connection: Connection) -> None:
        """A connection is gone, its links with it."""

    def mute(self, connection: Connection) -> bool:
        """Whether to say nothing and hear nothing (a fault for tests)."""

    def attached(self, link: Link) -> Described | None:
        """A peer opens a link; an error refuses it."""

    def detached(self, link: Link) -> None:
        """A link is gone."""

    def received(self, delivery: Delivery) -> None:
        """A whole message came in on a link."""

    def writable(self, link: Link) -> None:
        """A link may have become able to send."""

    def settled(self, delivery: Delivery, outcome: Described) -> Described:
        """A receiver says how a delivery ended; returns the answer it gets."""

    def unknown_delivery(self) -> Described:
        """The answer for a delivery that is no longer remembered."""
