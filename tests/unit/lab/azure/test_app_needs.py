"""What an app's triggers want of a Service Bus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.azure.app_needs import AppNeeds, needs_of, write_config
from lab.azure.service_bus.config import load


def test_connections_and_queues_are_those_that_the_triggers_name() -> None:
    triggers: list[dict[str, Any]] = [
        {"type": "httpTrigger", "name": "req"},
        {"type": "serviceBusTrigger", "queueName": "%JOBS%", "connection": "Bus"},
        {"type": "serviceBusTrigger", "queueName": "tasks", "connection": None},
        {"type": "serviceBusTrigger", "queueName": "%UNSET%", "connection": "Bus"},
        {"type": "serviceBusTrigger", "topicName": "t", "subscriptionName": "s", "connection": "Bus"},
    ]
    assert needs_of(triggers, {"JOBS": "jobs"}) == AppNeeds(
        ("Bus", "AzureWebJobsServiceBus", "ServiceBusConnection"), ("jobs", "tasks")
    )


def test_an_app_without_such_triggers_gets_what_ours_has() -> None:
    assert needs_of([], {}) == AppNeeds()


def test_the_config_has_the_shipped_queues_and_those_that_are_missing(tmp_path: Path) -> None:
    write_config(["orders", "tasks"], tmp_path / "Config.json")
    queues = load(tmp_path / "Config.json")
    assert set(queues) == {"orders", "tasks"}
    assert queues["tasks"].max_delivery_count == 10
