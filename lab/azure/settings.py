"""The app settings of a local run, from the files and the environment that Azure's own tools read too.

Must never show a value: settings hold secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONNECTION = "ServiceBusConnection"
QUEUE = "ORDERS_QUEUE"
DEFAULT_QUEUE = "orders"


class SettingsFileError(ValueError):
    """A settings file cannot be read; the message names it."""


def read_values(path: Path) -> dict[str, str]:
    """`Values` of a local.settings.json, empty if there is no such file. Raises SettingsFileError."""
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8")).get("Values", {})
        return {str(name): str(value) for name, value in values.items()}
    except (ValueError, AttributeError, OSError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsFileError(f"{path} is not a local.settings.json: {type(error).__name__}{where}") from error


def app_settings(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What the app in `folder` gets: the example's values, then the developer's own, then the environment.

    Raises SettingsFileError.
    """
    example = read_values(folder / "local.settings.json.example")
    return {**example, **read_values(folder / "local.settings.json"), **environment}
