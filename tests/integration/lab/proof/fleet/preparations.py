"""What keeps an instance from starting, as `Task.prepare`: called in the instance, so it must be found by its name."""

from __future__ import annotations

import os
import signal


def refuse() -> None:
    """Raise."""
    raise ValueError("the cupboard is bare")


def vanish() -> None:
    """End without a word."""
    os.kill(os.getpid(), signal.SIGKILL)
