"""Whoever is at the other end of a connection, as everything above the connection sees them."""

from __future__ import annotations

from typing import Protocol


class Peer(Protocol):
    """A connected peer. `deaf` says that it missed something while the broker was mute."""

    deaf: bool

    def beat(self) -> None:
        """Called every so often: keep the peer's clock quiet, and drop it if ours has run out."""

    def cut(self) -> None:
        """End the connection without a word, as a network does."""
