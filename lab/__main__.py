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


def _folders() -> list[Any]:
    try:
        return [importlib.import_module(f"lab.{name}.commands") for name in FOLDERS if find_spec(f"lab.{name}")]
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. This Python lacks the lab's packages: `make install`, then `.venv/bin/python -m lab`.")


def main(arguments: Sequence[str] | None = None) -> int:
    folders = _folders()
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
