"""What can be made to go wrong on purpose, so that a test sees how a client takes it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from . import performatives as amqp
from .errors import Refusal
from .service import Service

SERVER_BUSY = "com.microsoft:server-busy"


Call = Callable[[Callable[[], Any]], Any]  # runs a function where the broker runs


class Faults:
    """A broker's faults. Every method may be called from any thread."""

    def __init__(self, service: Service, call: Call) -> None:
        self._service, self._plan, self._call = service, service.plan, call

    def refuse_sends(self, count: int, condition: str = SERVER_BUSY, text: str = "Refused on purpose.") -> None:
        """Refuse the next `count` sends, to any queue, with an AMQP condition; a batch is one send."""
        self._call(lambda: self._plan.refusals.extend(Refusal(condition, text) for _ in range(count)))

    def cut_after_storing(self, count: int) -> None:
        """Store the next `count` sends, then cut their connections instead of confirming: an unknown outcome."""
        self._plan.cuts = count

    def lose_completions(self, count: int) -> int:
        """Confirm the next `count` completions of received messages without keeping them: each message comes again once
        its lock has run out. Returns how many of those asked for before have not happened."""
        self._plan.losses, left = count, self._plan.losses
        return left

    def delay_confirmations(self, seconds: float) -> None:
        """Confirm every send so much later, as over a network; 0 ends it."""
        self._plan.latency_s = seconds

    def store_twice(self, count: int) -> int:
        """Store the next `count` sends twice, past duplicate detection: each of their messages is delivered twice.
        Returns how many of those asked for before have not happened."""
        self._plan.copies, left = count, self._plan.copies
        return left

    def shuffle(self, seed: int | None) -> None:
        """Hand every queue's messages out in the random order of a seed; None ends it."""
        source = None if seed is None else random.Random(seed)  # noqa: S311  # repeatable, not secret

        def shuffle() -> None:
            for queue in self._service.queues.values():
                queue.shuffle(source)

        self._call(shuffle)

    def mute(self) -> None:
        """Accept connections and say nothing, on old ones too, until `unmute`."""
        self._plan.mute = True

    def unmute(self) -> None:
        """Speak again; connections that missed something are cut, since their peers wait for an answer to it."""

        def unmute() -> None:
            self._plan.mute = False
            for connection in list(self._service.connections):
                if connection.deaf:
                    connection.cut()

        self._call(unmute)

    def detach_links(self, condition: str = "amqp:link:detach-forced", text: str = "Idle timeout: 00:10:00.") -> int:
        """Force every link to a queue or its management off, as the service does to idle ones; returns how many."""

        def detach() -> int:
            links = list(self._service.links)
            for link in links:
                link.detach(amqp.error(condition, f"The link '{link.name}' is force detached. Details: {text}"))
            return len(links)

        return int(self._call(detach))

    def cut_connections(self) -> int:
        """Cut every connection without a word, as a network does; returns how many."""

        def cut() -> int:
            connections = list(self._service.connections)
            for connection in connections:
                connection.cut()
            return len(connections)

        return int(self._call(cut))
