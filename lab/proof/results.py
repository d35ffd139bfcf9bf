"""How every command of the proof gives its results: on the terminal, as JSON, as a page."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

PLAIN_WIDTH = 200  # of what is not a terminal
WRITTEN_TO = ("--json", "--report")


def add_results(parser: argparse.ArgumentParser) -> None:
    results = parser.add_argument_group("results")
    results.add_argument("--json", type=Path, metavar="FILE", help="write everything that was counted to FILE")
    results.add_argument("--report", type=Path, metavar="DIR", help="write a page and its numbers to DIR")


def save(options: argparse.Namespace, document: Any, write_page: Callable[[Path, str], Path]) -> None:
    """Write what the options ask for; `write_page` is given the folder and the command line. Raises OSError."""
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.report:
        print(f"report: {write_page(options.report, typed(sys.argv[1:]))}")


def typed(arguments: list[str]) -> str:
    """The command line as one would type it to see the same: without where its results were written."""
    where = {at for at, word in enumerate(arguments) if word in WRITTEN_TO}
    kept = [word for at, word in enumerate(arguments) if not {at, at - 1} & where]
    return shlex.join(["python", "-m", "lab", *kept])


def console() -> Console:
    """For tables: as wide as the terminal, and wide enough elsewhere."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
