"""`python -m lab.azure.functions_host FOLDER`: one instance of an app, alone. Must not print a setting's value."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from lab.azure.functions_host.cors import Cors
from lab.azure.functions_host.function_index import HostStartError
from lab.azure.functions_host.host_json import HostJsonError
from lab.azure.functions_host.http_frontend import Keys
from lab.azure.functions_host.server import PortTaken, list_functions, listen, run_instance

KEY_SETTING = "LAB_FUNCTIONS_KEY"
MASTER_SETTING = "LAB_FUNCTIONS_MASTER_KEY"

DESCRIPTION = """\
Serve one instance of a Python v2 function app on 127.0.0.1: its HTTP functions and its Service Bus triggers.
`python -m lab up` starts everything an app needs; this is only the host, with the settings of its environment."""
EXAMPLES = """\
examples:
  python -m lab.azure.functions_host .                       the app in this folder, on port 7071
  python -m lab.azure.functions_host ~/my-app --port 7072    another app on another port
  LAB_FUNCTIONS_KEY=s3cret python -m lab.azure.functions_host .   FUNCTION-level functions want this key
LAB_FUNCTIONS_MASTER_KEY is the key for ADMIN-level ones. The app sees neither."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lab.azure.functions_host",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the folder that holds function_app.py and host.json")
    parser.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1; 0 picks a free one (default: 7071)")
    parser.add_argument("--list", action="store_true", help="print the triggers of the app's functions and end")
    parser.add_argument("--announce", type=Path, metavar="FILE", help="write what is served where to FILE, as JSON")
    return parser.parse_args(arguments)


class TurnHandler(logging.StreamHandler[TextIO]):
    """Flushes once per turn of the event loop instead of once per line: a quarter of a trivial request's time."""

    _scheduled = False

    def flush(self) -> None:
        """Flush soon if a loop runs here, now if none does."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            super().flush()
            return
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._scheduled = False
        super().flush()


def log_to_stdout() -> None:
    """One line per record: time, level, logger, message. The SDK's chatter stays out."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # "Optimization", logging HOWTO
    handler = TurnHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s [%(name)s] %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("azure", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("azure.servicebus").setLevel(
        logging.ERROR
    )  # its warnings are tracebacks of what we log in a line


def list_triggers(folder: Path, settings: dict[str, str]) -> int:
    """Print the bindings of the app's triggers, as a JSON array in a line; 1 if the app cannot be imported."""
    functions, error = asyncio.run(list_functions(folder, settings))
    bindings = [binding for function in functions for binding in function.bindings]
    told = json.dumps([each for each in bindings if each["type"].lower().endswith("trigger")])
    print(f"\nfunctions: {told}\n", end="", flush=True)  # in one write: the worker writes to the same place
    print(error, end="", file=sys.stderr)
    return 1 if error else 0


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal; returns the exit code."""
    options = parse(arguments)
    log_to_stdout()
    folder = options.folder.resolve()
    settings = dict(os.environ)
    if options.list:
        return list_triggers(folder, settings)
    keys = Keys(settings.pop(KEY_SETTING, None) or None, settings.pop(MASTER_SETTING, None) or None)
    cors = Cors.of(settings.pop("LAB_CORS", ""), credentials=bool(settings.pop("LAB_CORS_CREDENTIALS", "")))
    try:
        listener = listen("127.0.0.1", options.port)
        instance = run_instance(folder, listener, settings=settings, keys=keys, cors=cors, announce_to=options.announce)
        served = asyncio.run(instance)
    except (PortTaken, HostJsonError, HostStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if served else 1


if __name__ == "__main__":
    sys.exit(main())
