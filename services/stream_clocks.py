"""The two clocks of a connection, *stall* and *trickle*: when is it beyond hope, whoever waits or does not?

Plain arithmetic over what the stream counts; it holds no timer, reads no socket and closes nothing itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class StreamClocks:
    """Asked once per tick (seconds), so an answer is late by one tick at most and never early.

    Stall: something is outstanding and nothing has arrived for `stall_s`; a full write buffer that drains counts as
    arrival. Trickle: the oldest owed reply is older than `reply_s`.
    """

    def __init__(self, stall_s: float, reply_s: float, now: float) -> None:
        self.stall_s, self.reply_s = stall_s, reply_s
        self.tick_s = min(stall_s, reply_s) / 10
        self.progress_at = now
        self._marks: deque[tuple[int, float]] = deque()  # (commands written, seen when)
        self._bulk_end = self._taken = 0

    def writing_paused(self, handed: int) -> None:
        """The write buffer is full; `handed` bytes have been given to it so far."""
        self._bulk_end = handed

    def note_drain(self, now: float, handed: int, unsent: Callable[[], int]) -> None:
        """A write buffer that drains counts as arrival, but only one that was full.

        Small commands vanish into the kernel's buffers even if nobody is there to read them.
        """
        if self._taken >= self._bulk_end:
            self._taken = handed
            return
        taken = handed - unsent()
        if taken > self._taken:
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
