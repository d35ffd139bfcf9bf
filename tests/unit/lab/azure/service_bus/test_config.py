"""Config.json: what the emulator's format gives, and that every mistake is said with its place and its cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.azure.service_bus.config import ConfigError, load, queues
from lab.azure.service_bus.queue_config import QueueConfig


def config(*queues: Any, **namespace: Any) -> dict[str, Any]:
    return {"UserConfig": {"Namespaces": [{"Name": "n", "Queues": list(queues), **namespace}]}}


def queue(**properties: Any) -> dict[str, Any]:
    return {"Name": "orders", "Properties": properties}


def test_the_shipped_file_has_the_queue_orders() -> None:
    assert load() == {
        "orders": QueueConfig(
            lock_duration_s=60,
            max_delivery_count=10,
            default_ttl_s=3600,
            duplicate_window_s=300,
            dead_letter_on_expiration=True,
        )
    }


def test_every_property_is_read() -> None:
    given = queue(
        LockDuration="PT30S",
        MaxDeliveryCount=3,
        RequiresDuplicateDetection=True,
        DuplicateDetectionHistoryTimeWindow="PT1M",
        DefaultMessageTimeToLive="PT10M0.5S",
        DeadLetteringOnMessageExpiration=True,
        RequiresSession=False,
        ForwardTo="",
    )
    assert queues(config(given)) == {
        "orders": QueueConfig(
            lock_duration_s=30,
            max_delivery_count=3,
            duplicate_window_s=60,
            default_ttl_s=600.5,
            dead_letter_on_expiration=True,
        )
    }


def test_without_properties_the_emulators_defaults_hold() -> None:
    (found,) = queues(config({"Name": "orders"})).values()
    assert (found.lock_duration_s, found.max_delivery_count, found.default_ttl_s) == (60, 3, 3600)
    assert found.duplicate_window_s == 0
    (found,) = queues(config(queue(RequiresDuplicateDetection=True))).values()
    assert found.duplicate_window_s == 20


def test_a_file_as_people_write_it_is_read(tmp_path: Path) -> None:
    """The emulator reads its file as .NET does: a BOM, comments and a trailing comma are allowed."""
    file = tmp_path / "Config.json"
    file.write_text(
        """\ufeff{ // the emulator's
        "$schema": "https://example.com/schema.json", /* two
        lines */ "UserConfig": { "Namespaces": [ { "Name": "sbemulatorns", "Queues": [
            { "Name": "a//b", "Properties": { "LockDuration": "PT1M", } }, // last
        ], "Topics": [], }, ], "Logging": { "Type": "File", } },
        }""",
        encoding="utf-8",
    )
    assert list(load(file)) == ["a//b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the file must be a JSON object"),
        ({}, "needs 'UserConfig' as an object"),
        ({"UserConfig": {}}, "needs 'Namespaces' as a list"),
        ({"UserConfig": {"Namespaces": ["x"]}}, "must be a JSON object"),
        (config(), "There are 0 queues: have 1 to 50"),
        (config(*({"Name": f"q{n}"} for n in range(51))), "There are 51 queues: have 1 to 50"),
        (config({}), "needs 'Name' as a string"),
        (config({"Name": "a b"}), "use 1 to 260 letters"),
        (config({"Name": "a"}, {"Name": "A"}), "twice"),
        (config({"Name": "a", "Colour": 1}), "unknown key 'Colour'"),
        (config(queue(), Topics=[{"Name": "t"}]), "only queues here. Remove them"),
        (config(queue(Lockduration="PT1M")), "unknown key 'Lockduration': remove it, or use one of LockDuration"),
        (config(queue(LockDuration="1 minute")), "Write an ISO 8601 duration such as 'PT1M'"),
        (config(queue(LockDuration="P")), "Write an ISO 8601 duration"),
        (config(queue(LockDuration=60)), "Write an ISO 8601 duration"),
        (config(queue(LockDuration="PT6M")), "must be from 5 to 300 seconds"),
        (config(queue(LockDuration="PT4S")), "must be from 5 to 300 seconds"),
        (config(queue(DefaultMessageTimeToLive="P1Y2M")), "must be from 300 to 3600 seconds"),
        (config(queue(DuplicateDetectionHistoryTimeWindow="PT1S")), "must be from 5 to 300 seconds"),
        (config(queue(MaxDeliveryCount=0)), "whole number from 1 to 10"),
        (config(queue(MaxDeliveryCount=True)), "whole number from 1 to 10"),
        (config(queue(RequiresDuplicateDetection="yes")), "Set it to true or false"),
        (config(queue(RequiresSession=True)), "RequiresSession is not supported here"),
        (config(queue(ForwardTo="other")), "Remove it or set it to ''"),
    ],
)
def test_a_mistake_is_reported_with_its_remedy(content: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        queues(content)
    assert message in str(caught.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "Config.json")


def test_a_file_that_is_not_json_is_reported_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "Config.json"
    file.write_text('{"UserConfig":\n x}')
    with pytest.raises(ConfigError, match=r"is not JSON.*line 2"):
        load(file)
