"""A pytest fixture: `from ...service_bus.fixture import *` in a conftest.py. The only file here that needs pytest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .broker import LocalServiceBus

__all__ = ["local_service_bus", "service_bus_queues"]


@pytest.fixture
def service_bus_queues() -> list[str]:
    """The names of the queues; a test file overrides it."""
    return ["orders"]


@pytest.fixture
def local_service_bus(service_bus_queues: list[str]) -> Iterator[LocalServiceBus]:
    """A Service Bus of the test's own, on a thread of its own."""
    with LocalServiceBus(service_bus_queues) as bus:
        yield bus
