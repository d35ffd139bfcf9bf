"""docs/operations.md lists exactly the metrics that are registered."""

from __future__ import annotations

import re
from typing import Any

from opentelemetry.metrics import NoOpMeter

from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from services.redis_session.redis_service import RedisService
from services.telemetry.session_metrics import watch
from tests.pages import page, rows_with


class Names(NoOpMeter):
    """Keeps the names of the instruments that are made."""

    def __init__(self) -> None:
        super().__init__("test")
        self.made: list[str] = []

    def create_observable_counter(self, name: str, *args: Any, **options: Any) -> Any:
        self.made.append(name)

    def create_observable_gauge(self, name: str, *args: Any, **options: Any) -> Any:
        self.made.append(name)


def listed() -> list[str]:
    """The metrics of the page; in a row only the first has its prefix."""
    names: list[str] = []
    for row in rows_with(page("operations.md"), "metric"):
        shown = [name for name in re.findall(r"`([\w.]+)`", row["metric"]) if name != "error.type"]
        prefix = shown[0].rpartition(".")[0]
        names += [name if "." in name else f"{prefix}.{name}" for name in shown]
    return names


def test_the_page_lists_the_metrics_that_are_registered_and_no_other() -> None:
    meter = Names()
    watch(RedisService(None), QueueService(ServiceBusConnection(), None), meter)
    assert sorted(listed()) == sorted(meter.made)
    assert len(set(meter.made)) == len(meter.made)
