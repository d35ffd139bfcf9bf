"""The two clocks of a connection, *stall* and *trickle*: they say when it is of no more use, even if nobody waits.

Plain arithmetic over what the stream counts; it holds no timer, reads no socket and closes nothing itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class StreamClocks:
    """Asked once per tick (seconds), so an answer is late by one tick at most and never early.

    Stall: something is outstanding and nothing has arrived for `stall_s`; a large command that is being taken counts
    as arrival. Trickle: the oldest owed reply is older than `reply_s`.
    """

    def __init__(self, stall_s: float, reply_s: float, now: float) -> None:
        self.stall_s, self.reply_s = stall_s, reply_s
        self.tick_s = min(stall_s, reply_s) / 10
        self.progress_at = now
        self._marks: deque[tuple[int, float]] = deque()  # (commands written, seen when)
        self._bulks: deque[tuple[int, int]] = deque()  # (commands written, where their bytes end)
        self._taken = 0

    def bulk_begun(self, written: int, end: int) -> None:
        """Commands too large for one write have begun: `written` so far with them, their bytes end at `end`."""
        self._bulks.append((written, end))

    def note_drain(self, now: float, answered: int, handed: int, unsent: Callable[[], int]) -> None:
        """Bytes that the peer has taken count as arrival while the oldest owed command is not there completely.

        Only then: small commands, and large ones behind it, vanish into kernel buffers even if nobody is there to read.
        """
        while self._bulks and self._bulks[0][0] <= answered:
            self._bulks.popleft()
        if not self._bulks:
            return
        taken = handed - unsent()
        if self._taken < min(taken, self._bulks[0][1]):
            self.progress_at = now
        self._taken = taken

    def overdue(self, now: float, written: int, owed: int, waiting: int) -> str | None:
        """Why to close now, or None. `written` commands so far, `owed` of them a reply, `waiting` to be written."""
        if self._oldest_age(now, written, owed) > self.reply_s:
            return f"a reply has been owed for more than {self.reply_s:g} s"
        if (owed or waiting) and now - self.progress_at > self.stall_s:
            return f"a reply was owed and nothing arrived for {self.stall_s:g} s"
        return None

    def _oldest_age(self, now: float, written: int, owed: int) -> float:
        """Seconds since the oldest owed command was written, by one mark per tick instead of a time per command."""
        marks, answered = self._marks, written - owed
        while marks and marks[0][0] <= answered:
            marks.popleft()
        if written > (marks[-1][0] if marks else answered):
            marks.append((written, now))
        return now - marks[0][1] if marks else 0.0
