"""What an app's triggers want of a Service Bus."""

from __future__ import annotations

import json
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
    write_config(["orders", "tasks"], None, tmp_path / "Config.json")
    queues = load(tmp_path / "Config.json")
    assert set(queues) == {"orders", "tasks"}
    assert queues["tasks"].max_delivery_count == 10


def test_a_custom_config_replaces_the_shipped_one(tmp_path: Path) -> None:
    own = {"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [{"Name": "Mine", "Properties": {}}], "Topics": []}]}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    write_config(["mine", "tasks"], tmp_path / "own.json", tmp_path / "Config.json")
    assert set(load(tmp_path / "Config.json")) == {"Mine", "tasks"}
