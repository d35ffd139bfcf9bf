"""`python -m lab`: the lab's commands. Only parses the command line; each command lives in its own file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

try:
    from lab.azure import dead_letters, enqueue, up
    from lab.proof import bench, compare
    from lab.proof.faults import command as faults
    from lab.proof.spike import command as spike
    from lab.tickets.letters import order_id
except ModuleNotFoundError as error:
    sys.exit(f"{error}. This Python lacks the lab's packages: `make install`, then `.venv/bin/python -m lab`.")

DESCRIPTION = "Run the app on this machine: no Docker, no Azure, no root."
EXAMPLES = """\
start here:
  python -m lab up                      the app, a Valkey and a Service Bus; Ctrl-C ends them all
  python -m lab enqueue '{"x": 1}'      put a message on its queue, from a second terminal
  python -m lab dead-letters            what the queue gave up on, and why
  python -m lab spike                   35,480 orders on 200 instances, with 256 Redis clients and no more
  python -m lab compare                 the same spike under every way to hold Redis sessions
  python -m lab faults                  break Redis, Service Bus and instances under the app
  python -m lab faults --session        the Redis session alone under faults, next to plain redis-py

Each command explains itself: python -m lab up --help"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in (up, enqueue, spike, compare, faults, bench):
        command.add_parser(commands)
    dead_letters.add_parser(commands, {"order": order_id})
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.print_help()
        return 2
    code: int = options.run(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
