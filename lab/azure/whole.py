"""Whole numbers on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole(least: int = 1) -> Callable[[str], int]:
    """A parser of numbers from `least` on. It raises ArgumentTypeError."""

    def parse(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return parse
