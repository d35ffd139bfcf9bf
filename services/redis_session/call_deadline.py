"""A deadline around Redis calls that says, when it expires, whether anything had been written: repeat it or not?

It never closes a connection and never starts a timer per call: it is `asyncio.timeout` plus one bit of knowledge.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from types import TracebackType

from .errors import NotSent, OutcomeUnknown


class CallDeadline:
    """`async with CallDeadline(2.5) as deadline:` bounds every call awaited inside, child tasks included.

    When the time (seconds) is up, it raises `NotSent` if no command issued inside had been written to the connection,
    so that repeating all of it is safe, else `OutcomeUnknown`. Whatever else the body raises passes unchanged;
    `deadline.written` tells then, too, how many commands of the body had been written (answered or not).
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.written = 0

    async def __aenter__(self) -> CallDeadline:
        self._timeout = asyncio.timeout(self.seconds)
        await self._timeout.__aenter__()
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
            raise NotSent(f"not written within {self.seconds:.3g} s") from expired


_CURRENT: ContextVar[CallDeadline | None] = ContextVar("call_deadline", default=None)
current_deadline = _CURRENT.get
