"""One line that says how a long run goes: rewritten in place on a terminal, now and then a new line elsewhere."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from lab.proof.spike.timeline import Timeline

EVERY_S = 0.5
PLAIN_EVERY_S = 10.0
CLEAR = "\r\x1b[K"


class Progress:
    """Writes to stderr, so that results can be piped. `prefix` says which part of a longer run this is."""

    def __init__(self, prefix: str = "", stream: TextIO | None = None) -> None:
        self.prefix = prefix
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._next_plain = 0.0

    def say(self, text: str) -> None:
        """A line of its own, soon overwritten on a terminal."""
        self._stream.write(f"{CLEAR}{self.prefix}{text} ..." if self._live else f"{self.prefix}{text} ...\n")
        self._stream.flush()

    def done(self) -> None:
        """Leave the terminal's line clean."""
        if self._live:
            self._stream.write(CLEAR)
            self._stream.flush()

    async def follow(self, timeline: Timeline, seconds: float) -> None:
        """Show the latest moment for ever; cancel it to stop."""
        while True:
            await asyncio.sleep(EVERY_S)
            now = time.monotonic()
            if timeline.moments and (self._live or now >= self._next_plain):
                self._next_plain = now + PLAIN_EVERY_S
                self.say(line(timeline, seconds))


def line(timeline: Timeline, seconds: float) -> str:
    """Instances, clients / limit, rate, errors, queue depth, time left."""
    last = timeline.moments[-1]
    before = timeline.moments[max(0, len(timeline.moments) - 5)]
    span = last.t - before.t
    rate = (last.scheduled - before.scheduled) / span if span > 0 else 0.0
    left = f"{seconds - last.t:.0f} s left" if last.t < seconds else "waiting for the last decisions"
    left = "" if seconds == math.inf else f", {left}"
    clients = "-" if last.clients is None else last.clients
    return (
        f"{last.instances} instances, {clients}/{timeline.stage.plan.client_limit} clients, {rate:.0f} orders/s, "
        f"{last.failed} errors, {last.queue} queued, {last.decided} decided{left}"
    )
