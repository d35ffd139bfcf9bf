"""What a test has logged so far, read by a fixture at its end."""

from __future__ import annotations

import logging

import pytest


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """In all of its phases: `caplog.records` and `caplog.text` are those of the current one, which has hardly begun."""
    return [record for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]


def complaints_of_asyncio(caplog: pytest.LogCaptureFixture) -> list[str]:
    """An exception that nobody read, a task that was destroyed, a loop in trouble."""
    return [record.getMessage() for record in logged(caplog) if record.name == "asyncio" and record.levelno > 20]


def log_text(caplog: pytest.LogCaptureFixture) -> str:
    """The lines, tracebacks included."""
    return "\n".join(map(logging.Formatter().format, logged(caplog)))
