"""The worker's root log handler: a line per record on stdout.

A record that cannot be formatted raises into whoever logged it, as in the real worker. One that belongs to no running
invocation is marked: the real host drops it (an import's, a plain thread's, a task's that outlived its invocation).
"""

from __future__ import annotations

import logging
import sys
import time

from lab.azure.functions_host.worker.context import LOCAL
from lab.azure.functions_host.worker.worker import active, invocation

MARK = "(outside an invocation) "
EXPLAINED = f"Log lines marked {MARK.strip()} do not reach Azure's log; what is printed or written to stderr does"


class WorkerLog(logging.Handler):
    """Write `HH:MM:SS.mmm LEVEL [logger] message` lines."""

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        message.encode()  # a lone surrogate raises here, there at the wire
        current = invocation.get("") or getattr(LOCAL, "invocation_id", None)
        mark = "" if current in active else MARK
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{at}.{int(record.msecs):03d} {record.levelname} [{record.name}] {mark}{message}\n"
        sys.stdout.write(line)
        sys.stdout.flush()


def install() -> None:
    """Log everything from INFO on, of every logger."""
    root = logging.getLogger()
    root.handlers = [WorkerLog()]
    root.setLevel(logging.INFO)
