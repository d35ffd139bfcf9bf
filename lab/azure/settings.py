"""The app settings of a local run, from the files and the environment that Azure's own tools read too.

Must never show a value: settings hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.azure import lenient_json

ROOT = Path(__file__).resolve().parents[2]
CONNECTION = "ServiceBusConnection"
QUEUE = "ORDERS_QUEUE"
DEFAULT_QUEUE = "orders"


class SettingsFileError(ValueError):
    """A settings file cannot be read; the message names it."""


@dataclass(frozen=True)
class SettingsFile:
    """A local.settings.json: its `Values`, and the `CORS` of its `Host`."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    cors: str = ""
    cors_credentials: bool = False


def read_file(path: Path) -> SettingsFile:
    """As Core Tools reads it (AppSettingsFile.cs). Comments, closing commas and a BOM are fine.

    Empty if there is no such file. Raises SettingsFileError.
    """
    if not path.exists():
        return SettingsFile()
    try:
        content = lenient_json.loads(path.read_text(encoding="utf-8-sig"), dates=False)
        if str(content.get("IsEncrypted")).lower() != "false" and content.get("Values"):  # the default is encrypted
            raise SettingsFileError(f"{path} is encrypted: run 'func settings decrypt', and set IsEncrypted to false")
        host, values = content.get("Host") or {}, content.get("Values") or {}
        if any(isinstance(value, (dict, list)) for value in values.values()):
            raise SettingsFileError(f"{path} is not a local.settings.json: each of its Values must be a text")
        return SettingsFile(
            values={name: str(value) for name, value in values.items() if value is not None},
            cors=str(host.get("CORS") or ""),
            cors_credentials=host.get("CORSCredentials") is True,
        )
    except (lenient_json.NotJson, UnicodeDecodeError, AttributeError, OSError) as error:
        raise SettingsFileError(f"{path} is not a local.settings.json: {type(error).__name__}") from error


def read_values(path: Path) -> dict[str, str]:
    """`Values` of a local.settings.json, empty if there is no such file. Raises SettingsFileError."""
    return dict(read_file(path).values)


def app_settings(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What the app in `folder` gets: the example's values, then the developer's own, then the environment.

    Raises SettingsFileError.
    """
    example = read_values(folder / "local.settings.json.example")
    return {**example, **read_values(folder / "local.settings.json"), **environment}


def serve_redis(settings: dict[str, str], url: str) -> None:
    """Let the app use this Redis, whatever identity a fetched settings file names."""
    settings.pop("REDIS_ENTRA_CLIENT_ID", None)
    settings["REDIS_URL"] = url


def serve_bus(settings: dict[str, str], connection: str, connection_string: str) -> None:
    """Let the app use this Service Bus under the name `connection`, whatever identity its settings name."""
    for name in [name for name in settings if name.lower().startswith(f"{connection.lower()}__")]:
        del settings[name]
    settings[connection] = connection_string
