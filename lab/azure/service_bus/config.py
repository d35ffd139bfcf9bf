"""Reads the `Config.json` of Microsoft's Service Bus emulator, queues only, with that emulator's defaults and bounds.

They are those of Config-schema.json in the repository Azure/azure-service-bus-emulator-installer; whoever needs other
values makes a `QueueConfig`. It must never guess: what it does not know or cannot serve is an error that names the
place and says what to do.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

from .queue_config import QueueConfig

T = TypeVar("T")

SHIPPED = Path(__file__).with_name("Config.json")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?")
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_UNITS_S = (365 * 86_400.0, 30 * 86_400.0, 86_400.0, 3600.0, 60.0, 1.0)  # as .NET's XmlConvert counts years and months
_COMMENT = re.compile(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\\n])*")|,(?=\s*[\]}])')
MAX_QUEUES = 50
_SPELLINGS = (
    "LockDuration",
    "MaxDeliveryCount",
    "RequiresDuplicateDetection",
    "DuplicateDetectionHistoryTimeWindow",
    "DefaultMessageTimeToLive",
    "DeadLetteringOnMessageExpiration",
)
_ABSENT: dict[str, tuple[Any, ...]] = {  # known to the emulator, but what they ask for is not here
    "RequiresSession": (False,),
    "ForwardTo": ("", None),
    "ForwardDeadLetteredMessagesTo": ("", None),
}


class ConfigError(ValueError):
    """A Config.json that cannot be served; the message says where and what to do."""


def load(file: Path = SHIPPED) -> dict[str, QueueConfig]:
    """{queue name: its settings} of a Config.json. Raises ConfigError."""
    try:
        content = json.loads(_plain(file.read_text(encoding="utf-8-sig")))
    except OSError as failure:
        raise ConfigError(f"{file} cannot be read ({failure.strerror}): give the path of a Config.json.") from failure
    except ValueError as failure:
        raise ConfigError(f"{file} is not JSON: {failure}. Correct it there.") from failure
    return queues(content)


def _plain(text: str) -> str:
    """The JSON in what .NET reads as JSON: no comments, no comma before a closing bracket. Lines keep their numbers."""
    text = _COMMENT.sub(lambda found: found[1] or "\n" * found[0].count("\n"), text)
    return _LAST_COMMA.sub(lambda found: found[1] or "", text)


def queues(content: Any) -> dict[str, QueueConfig]:
    """{queue name: its settings} of a parsed Config.json. Raises ConfigError."""
    user = _get(_object(content, "the file", ("UserConfig", "$schema")), "UserConfig", dict, "the file")
    _object(user, "UserConfig", ("Namespaces", "Logging"))
    found: dict[str, QueueConfig] = {}
    for namespace in _get(user, "Namespaces", list, "UserConfig"):
        place = f"namespace {namespace.get('Name', '')!r}" if isinstance(namespace, dict) else "Namespaces"
        _object(namespace, place, ("Name", "Queues", "Topics"))
        if namespace.get("Topics"):
            raise ConfigError(f"{place} has Topics: there are only queues here. Remove them.")
        for queue in _get(namespace, "Queues", list, place):
            name, config = _queue(queue, place)
            if name.lower() in (known.lower() for known in found):
                raise ConfigError(f"queue {name!r} is there twice: names have no case. Rename or remove one.")
            found[name] = config
    if not 1 <= len(found) <= MAX_QUEUES:
        raise ConfigError(
            f"There are {len(found)} queues: have 1 to {MAX_QUEUES} under UserConfig.Namespaces[0].Queues."
        )
    return found


def _queue(queue: Any, place: str) -> tuple[str, QueueConfig]:
    _object(queue, f"a queue of {place}", ("Name", "Properties"))
    name = _get(queue, "Name", str, f"a queue of {place}")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"queue {name!r}: use 1 to 260 letters, digits, '.', '_', '-' or '/', a letter or digit at both ends."
        )
    properties = queue.get("Properties", {})
    place = f"queue {name!r}"
    _object(properties, f"the Properties of {place}", (*_SPELLINGS, *_ABSENT))
    for key, allowed in _ABSENT.items():
        if key in properties and properties[key] not in allowed:
            raise ConfigError(f"{place}: {key} is not supported here. Remove it or set it to {allowed[0]!r}.")
    detect = _boolean(properties, "RequiresDuplicateDetection", place)
    window = _duration(properties, "DuplicateDetectionHistoryTimeWindow", place, 20.0, 5.0, 300.0)
    return name, QueueConfig(
        lock_duration_s=_duration(properties, "LockDuration", place, 60.0, 5.0, 300.0),
        max_delivery_count=_count(properties, "MaxDeliveryCount", place),
        default_ttl_s=_duration(properties, "DefaultMessageTimeToLive", place, 3600.0, 300.0, 3600.0),
        dead_letter_on_expiration=_boolean(properties, "DeadLetteringOnMessageExpiration", place),
        duplicate_window_s=window if detect else 0.0,
    )


def _object(value: Any, place: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a JSON object.")
    if unknown := [key for key in value if key not in keys]:
        raise ConfigError(f"{place} has the unknown key {unknown[0]!r}: remove it, or use one of {', '.join(keys)}.")
    return value


def _get(value: dict[str, Any], key: str, kind: type[T], place: str) -> T:
    found = value.get(key, [] if kind is list and key == "Queues" else None)
    if not isinstance(found, kind):
        spoken = {"dict": "an object", "list": "a list", "str": "a string"}[kind.__name__]
        raise ConfigError(f"{place} needs {key!r} as {spoken}.")
    return found


def _boolean(properties: dict[str, Any], key: str, place: str) -> bool:
    value = properties.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{place}: {key} is {value!r}. Set it to true or false.")
    return value


def _count(properties: dict[str, Any], key: str, place: str) -> int:
    value = properties.get(key, 3)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10:
        raise ConfigError(f"{place}: {key} is {value!r}. Set it to a whole number from 1 to 10.")
    return value


def _duration(properties: dict[str, Any], key: str, place: str, default: float, least: float, most: float) -> float:
    if key not in properties:
        return default
    value = properties[key]
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        raise ConfigError(f"{place}: {key} is {value!r}. Write an ISO 8601 duration such as 'PT1M' or 'P1D'.")
    total = sum(float(part or 0) * unit_s for part, unit_s in zip(found.groups(), _UNITS_S, strict=True))
    if not least <= total <= most:
        raise ConfigError(f"{place}: {key} is {value!r}. It must be from {least:g} to {most:g} seconds.")
    return total
