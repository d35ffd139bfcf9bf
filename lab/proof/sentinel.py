"""How late the machine itself is while something is measured on it. Blames nobody, excuses as much."""

from __future__ import annotations

import threading
import time

STEP_S = 0.02


class Sentinel:
    """How late the machine lets a thread be that only sleeps: what no session can be blamed for, in seconds."""

    def __init__(self) -> None:
        self.late_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Sentinel:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(STEP_S):
            now = time.monotonic()
            self.late_s = max(self.late_s, now - before - STEP_S)
            before = now
