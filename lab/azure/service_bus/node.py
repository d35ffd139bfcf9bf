"""What the protocol asks of whoever gives links a meaning: a contract between `connection` and `service` above it."""

from __future__ import annotations

from typing import Protocol

from .amqp_types import Described
from .link import Delivery, Link
from .peer import Peer


class Node(Protocol):
    """Gives links a meaning. Every method runs on the event loop and must not block."""

    def connected(self, peer: Peer) -> bool:
        """Whether a new connection may stay."""

    def disconnected(self, peer: Peer) -> None:
        """A connection is gone, its links with it."""

    def signed_in(self, peer: Peer) -> None:
        """A peer has shown a key, with SASL PLAIN."""

    def mute(self, peer: Peer) -> bool:
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
