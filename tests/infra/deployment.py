"""What one parameter file would deploy, read by resource type and name. Evaluated offline, never deployed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HOST_NAME = "redis.example.net"
CLIENT_ID = "33333333-3333-3333-3333-333333333333"
_RUN_TIME = re.compile(r"^\[.*reference\(.*\]\Z", re.DOTALL)


@dataclass(frozen=True)
class Deployment:
    """A snapshot as the compiler gives it."""

    snapshot: dict[str, Any]

    @property
    def resources(self) -> list[dict[str, Any]]:
        """Every resource that would be deployed."""
        found: list[dict[str, Any]] = self.snapshot["predictedResources"]
        return found

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs of main.bicep."""
        found: dict[str, Any] = self.snapshot["outputs"]
        return found

    def of_type(self, resource_type: str) -> list[dict[str, Any]]:
        """Every resource of a type, e.g. `Microsoft.Web/sites`."""
        return [resource for resource in self.resources if resource["type"] == resource_type]

    def only(self, resource_type: str) -> dict[str, Any]:
        """The one resource of a type."""
        (resource,) = self.of_type(resource_type)
        return resource

    @property
    def app_settings(self) -> dict[str, str]:
        """The app settings as the compiler knows them: some are expressions that only Azure can resolve."""
        found: dict[str, str] = self.only("Microsoft.Web/sites/config")["properties"]
        return found

    @property
    def resolved_app_settings(self) -> dict[str, str]:
        """The app settings with made-up values where only Azure knows the true ones."""
        return {name: _resolved(text) for name, text in self.app_settings.items()}

    @property
    def scale(self) -> dict[str, Any]:
        """`scaleAndConcurrency` of the function app."""
        found: dict[str, Any] = self.only("Microsoft.Web/sites")["properties"]["functionAppConfig"][
            "scaleAndConcurrency"
        ]
        return found


def texts(part: Any) -> Iterator[str]:
    """Every name and every text in a part of a JSON document."""
    if isinstance(part, dict):
        yield from part
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from texts(item)
    elif isinstance(part, str):
        yield part


def _resolved(text: str) -> str:
    if not _RUN_TIME.match(text):
        return text
    if text.startswith("[format('rediss://{0}:{1}/0'"):
        port = re.search(r", (\d+)\)\]\Z", text)  # of Azure Managed Redis; Azure Cache for Redis tells its own
        return f"rediss://{HOST_NAME}:{port[1] if port else 6380}/0"
    return CLIENT_ID
