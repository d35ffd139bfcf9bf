"""A deadline around Redis calls that says, when it expires, whether anything had been written: repeat it or not?

It closes no connection. It is `asyncio.timeout` plus one count, which the writer raises at the moment of writing.
It is written out here because asyncio's own takes three times as long (`lab bench`: run_over_client_us).
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from types import TracebackType

from .errors import NotSent, OutcomeUnknown

GIVEN_UP = "not written: its operation was given up; a task that is to outlive it needs context=contextvars.Context()"


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
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a CallDeadline works in a task only")
        self._task, self._cancelling, self._expired = task, task.cancelling(), False
        loop = task.get_loop()
        self._timer = loop.call_later(self.seconds, self._expire) if self.seconds > 0 else loop.call_soon(self._expire)
        self._outer = current_deadline()
        self.patient = self._outer is None or self._outer.patient
        self._token = _CURRENT.set(self)
        return self

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.reset(self._token)
        self._timer.cancel()
        if not self._expired:
            return
        others = self._task.uncancel() > self._cancelling  # somebody else has cancelled the task, too
        if others or kind is None or not issubclass(kind, asyncio.CancelledError):
            return
        expired = TimeoutError()
        expired.__cause__ = error
        if self.written:
            raise OutcomeUnknown(f"written, and no reply within {self.seconds:.3g} s: it may have run") from expired
        self.withdrawn = True
        raise NotSent(f"not written within {self.seconds:.3g} s") from expired

    def count(self, commands: int) -> None:
        """This many more have been written; fewer, when the server says that it has not run one."""
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


def take_back() -> None:
    """One of the commands counted as written has done nothing."""
    if (scope := current_deadline()) is not None:
        scope.count(-1)
