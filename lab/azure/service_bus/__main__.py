"""Runs the local Service Bus as a process of its own: `python -m` and the name of this folder's package."""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
import sys
from pathlib import Path

from . import health
from .broker import LocalServiceBus
from .config import SHIPPED, ConfigError, load

PORT, HEALTH_PORT = 5672, 5300  # the emulator's
COMMAND = f"python -m {__package__}"
EXAMPLES = f"""\
Prints one line once it is ready: the connection string to give to the app and its tools, for example

  ServiceBusConnection='Endpoint=sb://127.0.0.1:5672;...;UseDevelopmentEmulator=true;'

Everything is in memory: stopping it (Ctrl+C, or SIGTERM) empties the queues. On port 5672 it also answers
http://127.0.0.1:5300/health.

examples:
  {COMMAND}                        the shipped Config.json (queue 'orders') on port 5672
  {COMMAND} --port 0               on a free port; read it from the line
  {COMMAND} --config Config.json   your own queues, in the format of Microsoft's emulator
  {COMMAND} --port 5671 --tls cert.pem key.pem    for azure-servicebus before 7.14, which speaks TLS only
"""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="A Service Bus on this machine: AMQP 1.0 queues for the azure-servicebus SDK.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="port to listen on, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--health", type=int, metavar="PORT", help=f"port of /health, 0 for none (default: {HEALTH_PORT} beside {PORT})"
    )
    parser.add_argument("--tls", type=Path, nargs=2, metavar=("CERT", "KEY"), help="speak TLS, with these PEM files")
    parser.add_argument(
        "--config",
        type=Path,
        default=SHIPPED,
        metavar="FILE",
        help="Config.json with the queues (default: the shipped one)",
    )
    return parser


async def serve(broker: LocalServiceBus, health_port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows: a handler runs between two turns of the loop, the tick wakes it
            signal.signal(number, lambda *_: stopped.set())
    async with broker:
        doctor = await asyncio.start_server(health.answer, broker.host, health_port) if health_port else None
        print(broker.connection_string, flush=True)
        await stopped.wait()
        if doctor is not None:
            doctor.close()


def _tls(files: tuple[Path, Path] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(files[0], files[1])
    except OSError as failure:
        raise ConfigError(f"--tls {files[0]} {files[1]}: {failure}. Give a PEM certificate and its key.") from failure
    return context


def main() -> int:
    """The exit status: 0 after a signal, 2 if it could not start."""
    options = arguments().parse_args()
    health_port = options.health if options.health is not None else HEALTH_PORT if options.port == PORT else 0
    try:
        queues, context = load(options.config), _tls(options.tls)
        broker = LocalServiceBus(queues, host=options.host, port=options.port, ssl_context=context)
        asyncio.run(serve(broker, health_port))
    except ConfigError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    except (OSError, OverflowError) as failure:
        beside = f", /health on {health_port}" if health_port else ""
        print(
            f"error: cannot listen on {options.host}:{options.port}{beside}: {failure}. Try --port 0.", file=sys.stderr
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
