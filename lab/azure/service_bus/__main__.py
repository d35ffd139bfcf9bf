"""Runs the local Service Bus as a process of its own: `python -m lab.azure.service_bus`.

It must never end without a word: a port that is taken or a wrong Config.json is said in one line.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from .broker import LocalServiceBus
from .config import SHIPPED, ConfigError, load

EXAMPLES = """\
Prints one line once it is ready: the connection string to give to the app and its tools, for example

  ServiceBusConnection='Endpoint=sb://127.0.0.1:5672;...;UseDevelopmentEmulator=true;'

Everything is in memory: stopping it (Ctrl+C, or SIGTERM) empties the queues.

examples:
  python -m lab.azure.service_bus                        the shipped Config.json (queue 'orders') on port 5672
  python -m lab.azure.service_bus --port 0               on a free port; read it from the line
  python -m lab.azure.service_bus --config Config.json   your own queues, in the format of Microsoft's emulator
"""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.azure.service_bus",
        description="A Service Bus on this machine: AMQP 1.0 queues for the azure-servicebus SDK.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    parser.add_argument(
        "--port", type=int, default=5672, help="port to listen on, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=SHIPPED,
        metavar="FILE",
        help="Config.json with the queues (default: the shipped one)",
    )
    return parser


async def serve(broker: LocalServiceBus) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows: a handler runs between two turns of the loop, the tick wakes it
            signal.signal(number, lambda *_: stopped.set())
    async with broker:
        print(broker.connection_string, flush=True)
        await stopped.wait()


def main() -> int:
    """The exit status: 0 after a signal, 2 if it could not start."""
    options = arguments().parse_args()
    try:
        asyncio.run(serve(LocalServiceBus(load(options.config), host=options.host, port=options.port)))
    except ConfigError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    except (OSError, OverflowError) as failure:
        print(f"error: cannot listen on {options.host}:{options.port}: {failure}. Try --port 0.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
