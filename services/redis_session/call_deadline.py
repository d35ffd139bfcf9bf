"""A deadline around Redis calls that says, when it expires, whether anything had been written: repeat it or not?

It never closes a connection and never starts a timer per call: it is `asyncio.timeout` plus one count, kept by whoever
writes, at the moment of writing.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from types import TracebackType

from .errors import NotSent, OutcomeUnknown


class CallDeadline:
    """`async with CallDeadline(2.5) as deadline:` bounds every call awaited inside.

    When the time (seconds) is up, it raises `NotSent` if no command issued inside, by child tasks and inner deadlines
    too and on whichever connection, had been written, so that repeating all of it is safe, else `OutcomeUnknown`.
    Whatever else the body raises passes unchanged; `deadline.written` tells then, too, how many commands had been
    written, those that the server has refused to run left out.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.written = 0
        self.patient = True  # in a known outage it waits
        self.withdrawn = False  # nothing more may be written: somebody was told that nothing had been
        self._outer: CallDeadline | None = None

    async def __aenter__(self) -> CallDeadline:
        self._timeout = asyncio.timeout(self.seconds)
        await self._timeout.__aenter__()
        self._outer = current_deadline()
        self.patient = self._outer is None or self._outer.patient
        self._token = _CURRENT.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.reset(self._token)
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as expired:
            if self.written:
                raise OutcomeUnknown(f"written, and no reply within {self.seconds:.3g} s: it may have run") from expired
            self.withdrawn = True
            raise NotSent(f"not written within {self.seconds:.3g} s") from expired

    def count(self, commands: int) -> None:
        """So many more have been written; fewer, when the server says that it has not run one."""
        scope: CallDeadline | None = self
        while scope is not None:
            scope.written += commands
            scope = scope._outer

    @property
    def given_up(self) -> bool:
        """Whether this deadline, or one around it, has been withdrawn."""
        scope: CallDeadline | None = self
        while scope is not None and not scope.withdrawn:
            scope = scope._outer
        return scope is not None


_CURRENT: ContextVar[CallDeadline | None] = ContextVar("call_deadline", default=None)
current_deadline = _CURRENT.get
