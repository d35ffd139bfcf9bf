"""`python -m lab`: the commands of the folders that are here, each with a `commands.py`."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

FOLDERS = ("azure", "tickets", "proof")  # a later one may replace a command; the last two go with our business
DESCRIPTION = "Run the app on this machine: no Docker, no Azure, no root."


class Parser(argparse.ArgumentParser):
    """Shows descriptions and examples as they were written; a command's parser is of this class, too."""

    def __init__(self, **how: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **how)


def _folders(command: str) -> list[Any]:
    """The last is left out where the command is of another: its imports would make every command half as slow again."""
    folders: list[Any] = []
    try:
        for name in filter(lambda name: find_spec(f"lab.{name}"), FOLDERS):
            if name != FOLDERS[-1] or not any(command in folder.COMMANDS for folder in folders):
                folders.append(importlib.import_module(f"lab.{name}.commands"))
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. This Python lacks the lab's packages: `make install`, then `.venv/bin/python -m lab`.")
    return folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    folders = _folders(arguments[0] if arguments else "")
    named = {name: command for folder in folders for name, command in folder.COMMANDS.items()}
    first = [re.split(r"  +", example) for command in named.values() for example in command.EXAMPLES.split("\n  ")[1:2]]
    examples = "".join(f"  {words.strip():<40}{what.strip()}\n" for words, what in first)
    parser = Parser(
        prog="python -m lab",
        description=DESCRIPTION,
        epilog=f"start here:\n{examples}\nEach command explains itself: python -m lab up --help",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in named.items():
        own = commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION, epilog=command.EXAMPLES)
        own.set_defaults(run=command.run, usage_error=own.error)
        command.add_arguments(own)
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.print_help()
        return 2
    code: int = options.run(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
