"""What Redis has made of our credential, and whether the next connection attempt shows a fresh one."""

from __future__ import annotations

from enum import Enum, auto

FETCH_AGAIN_S = 300.0  # while Redis refuses fresh credentials, too


class Answer(Enum):
    """Redis's last answer to our credential."""

    TAKEN = auto()  # or not shown yet
    DOUBTED = auto()  # refused once: the next attempt shows a fresh one
    REFUSED = auto()  # the fresh one, too


class Login:
    """Times are those of the event loop, in seconds."""

    def __init__(self) -> None:
        self._answer, self._fetched_at = Answer.TAKEN, float("-inf")

    @property
    def refused(self) -> bool:
        """Whether Redis has refused a fresh credential."""
        return self._answer is Answer.REFUSED

    def taken(self) -> None:
        """Redis has let us in, or an attempt has failed for another reason."""
        self._answer = Answer.TAKEN

    def doubt(self) -> None:
        """An open connection has lost its login."""
        self._answer = Answer.DOUBTED

    def refuse(self) -> None:
        """Redis has refused the credential of a connection attempt."""
        self._answer = Answer.DOUBTED if self._answer is Answer.TAKEN else Answer.REFUSED

    def wants_fresh(self, now: float) -> bool:
        """Whether the attempt that begins now shows a credential fetched for it."""
        again = self.refused and now - self._fetched_at > FETCH_AGAIN_S
        if self._answer is Answer.DOUBTED or again:
            self._fetched_at = now
            return True
        return False
