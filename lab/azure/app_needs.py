"""The Service Bus connections and queues that an app's triggers need. The app is imported once to find them.

For an app that cannot be imported, this project's own needs are assumed; serving the app then shows the error.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.azure.service_bus.config import SHIPPED
from lab.azure.settings import CONNECTION, DEFAULT_QUEUE, ROOT

LIST_S = 60.0
MARK = "functions: "  # before the list, on a line of its own: an app may print on import
PERCENT = re.compile(r"%([^%]+)%")
PROPERTIES = {"LockDuration": "PT1M", "MaxDeliveryCount": 10}


@dataclass(frozen=True)
class AppNeeds:
    """Names of connection settings and of queues, in the order in which the app names them."""

    connections: tuple[str, ...] = (CONNECTION,)
    queues: tuple[str, ...] = (DEFAULT_QUEUE,)


def find_needs(folder: Path, settings: Mapping[str, str]) -> AppNeeds:
    """Import the app in `folder`, in a process of its own, and read its Service Bus triggers."""
    words = [sys.executable, "-m", "lab.azure.functions_host", str(folder), "--list"]
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=dict(settings), capture_output=True, timeout=LIST_S, check=True, text=True
        )
        told = next(line for line in done.stdout.splitlines() if line.startswith(MARK))
        triggers = json.JSONDecoder().raw_decode(told.removeprefix(MARK))[0]
    except (subprocess.SubprocessError, OSError, StopIteration, ValueError):
        return AppNeeds()
    return needs_of(triggers, settings)


def needs_of(triggers: Iterable[Mapping[str, Any]], settings: Mapping[str, str]) -> AppNeeds:
    """From the triggers' bindings. A name in percent signs is looked up in the settings; if not set, it is skipped."""
    bus = [trigger for trigger in triggers if trigger["type"] == "serviceBusTrigger"]
    connections = [str(trigger.get("connection") or "AzureWebJobsServiceBus") for trigger in bus]
    named = [
        PERCENT.sub(lambda found: settings.get(found[1], ""), str(trigger.get("queueName") or "")) for trigger in bus
    ]
    return AppNeeds(
        connections=tuple(dict.fromkeys([*connections, CONNECTION])),
        queues=tuple(dict.fromkeys(queue for queue in named if queue)) or (DEFAULT_QUEUE,),
    )


def write_config(queues: Iterable[str], path: Path) -> None:
    """Write a Config.json: the shipped one's queues, and those of `queues` that it lacks."""
    content = json.loads(SHIPPED.read_text(encoding="utf-8"))
    known = content["UserConfig"]["Namespaces"][0]["Queues"]
    names = {queue["Name"].lower() for queue in known}
    known += [{"Name": queue, "Properties": PROPERTIES} for queue in queues if queue.lower() not in names]
    path.write_text(json.dumps(content), encoding="utf-8")
