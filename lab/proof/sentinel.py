"""How late the machine itself is while something is measured on it. Blames nobody, excuses as much."""

from __future__ import annotations

import threading
import time


class Sentinel:
    """How late the machine lets a thread be that only sleeps: what no session can be blamed for, in seconds."""

    def __init__(self, step_s: float = 0.02) -> None:
        self.late_s = 0.0
        self._step_s, self._ended = step_s, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Sentinel:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(self._step_s):
            now = time.monotonic()
            self.late_s = max(self.late_s, now - before - self._step_s)
            before = now
