"""What the light host reads of host.json, and of the app settings that override it.

Must never guess: a value it cannot read is an error that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.azure import lenient_json

VERSION = "2.0"
OVERRIDE = "AzureFunctionsJobHost__"  # "Override host.json values", host.json reference
CLOCK = r"(?P<hours>\d+):(?P<minutes>\d+)(?::(?P<seconds>\d+(?:\.\d{1,7})?))?"
SPANS = tuple(map(re.compile, (CLOCK, rf"(?P<days>\d+)[.:]{CLOCK}", r"(?P<days>\d+)")))  # in the order .NET tries them
DAY_S = 86_400.0
LEAST_TIMEOUT_S = 1.0  # ScriptJobHostOptionsSetup.cs of the host
UNLIMITED = -1


class HostJsonError(ValueError):
    """host.json cannot be read; the message names the file or the value."""


@dataclass(frozen=True)
class ServiceBusOptions:
    """`extensions.serviceBus`, with the defaults of its reference page; durations in seconds."""

    max_concurrent_calls: int = 16
    max_auto_lock_renewal_s: float = 300.0
    prefetch_count: int = 0
    auto_complete: bool = True


@dataclass(frozen=True)
class HttpOptions:
    """`extensions.http`. `max_concurrent`, `max_outstanding`: requests; None: no limit."""

    route_prefix: str = "api"
    max_concurrent: int | None = None
    max_outstanding: int | None = None
    custom_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostConfig:
    """host.json as far as this host follows it. `function_timeout_s` None: no limit.

    `functions`: the names of those that are served, in lower case; None: all.
    """

    http: HttpOptions = field(default_factory=HttpOptions)
    function_timeout_s: float | None = 1800.0
    service_bus: ServiceBusOptions = field(default_factory=ServiceBusOptions)
    functions: frozenset[str] | None = None

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, str]) -> HostConfig:
        """Read `folder`/host.json (all defaults without one, or if it is an empty object), then the settings
        `AzureFunctionsJobHost__path__to__value`. Raises HostJsonError.
        """
        path = folder / "host.json"
        if not path.exists():
            return cls.parse(override({}, settings))
        try:
            document = lenient_json.loads(path.read_text(encoding="utf-8-sig"), dates=False)
        except ValueError as error:
            raise HostJsonError(f"{path} is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise HostJsonError(f"{path} must hold an object")
        if document and document.get("version") != VERSION:
            raise HostJsonError(f'{path} must say "version": "{VERSION}"')
        return cls.parse(override(document, settings))

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> HostConfig:
        """From host.json's content. Raises HostJsonError."""
        http, bus = section(document, "extensions", "http"), section(document, "extensions", "serviceBus")
        default, timeout_text = ServiceBusOptions(), found(document, "functionTimeout", "00:30:00")
        only = found(document, "functions")
        return cls(
            http=HttpOptions(
                route_prefix=str(found(http, "routePrefix", HttpOptions.route_prefix)),
                max_concurrent=limit(http, "maxConcurrentRequests"),
                max_outstanding=limit(http, "maxOutstandingRequests"),
                custom_headers={str(k): str(v) for k, v in section(http, "customHeaders").items()},
            ),
            function_timeout_s=timeout(str(timeout_text)),
            service_bus=ServiceBusOptions(
                max_concurrent_calls=whole(bus, "maxConcurrentCalls", default.max_concurrent_calls, least=0),
                max_auto_lock_renewal_s=timespan(str(found(bus, "maxAutoLockRenewalDuration", "00:05:00"))),
                prefetch_count=whole(bus, "prefetchCount", default.prefetch_count, least=0),
                auto_complete=str(found(bus, "autoCompleteMessages", True)).lower() == "true",
            ),
            functions=frozenset(str(name).lower() for name in only) if isinstance(only, list) else None,
        )

    def serves(self, name: str) -> bool:
        """True unless host.json lists `functions` and this one is not among them."""
        return self.functions is None or name.lower() in self.functions


def found(values: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """The value of a name in any case, as .NET's configuration finds it; the default for a null too."""
    value = next((value for known, value in values.items() if known.lower() == name.lower()), None)
    return default if value is None else value


def section(document: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The object at a path of names, empty if any part is missing. Raises HostJsonError if it is not an object."""
    value: Any = document
    for name in names:
        value = found(value, name, {})
        if not isinstance(value, dict):
            raise HostJsonError(f"host.json: {'.'.join(names)} must be an object")
    return dict(value)


def whole(values: Mapping[str, Any], name: str, default: int, *, least: int) -> int:
    """An integer of at least `least`. Raises HostJsonError."""
    try:
        number = int(str(found(values, name, default)))
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise HostJsonError(f"host.json: {name} must be a whole number of at least {least}")
    return number


def limit(values: Mapping[str, Any], name: str) -> int | None:
    """A number of requests, None for -1 or none given. Raises HostJsonError."""
    number = whole(values, name, UNLIMITED, least=UNLIMITED)
    return None if number == UNLIMITED else number


def timespan(text: str, least_s: float = 0.0) -> float:
    """.NET's TimeSpan in seconds: `hh:mm[:ss[.fff]]`, days and a dot or a colon before it, or days alone.

    So `24:00:00` is 24 days. Raises HostJsonError, also for less than `least_s`.
    """
    sign = -1 if text.strip().startswith("-") else 1
    for pattern in SPANS:
        read = pattern.fullmatch(text.strip().removeprefix("-"))
        part = {name: float(value or 0) for name, value in read.groupdict().items()} if read else {"hours": 24.0}
        hours, minutes, seconds = (part.get(name, 0.0) for name in ("hours", "minutes", "seconds"))
        if hours < 24 and minutes < 60 and seconds < 60:
            span = sign * (part.get("days", 0.0) * DAY_S + (hours * 60 + minutes) * 60 + seconds)
            if span >= least_s:
                return span
    raise HostJsonError(f"host.json: {text!r} is not a time span of at least {least_s:g} s, write hh:mm:ss")


def timeout(text: str) -> float | None:
    """functionTimeout in seconds, None for -1 day (unbounded). Raises HostJsonError."""
    span = timespan(text, -DAY_S)
    return None if span == -DAY_S else timespan(text, LEAST_TIMEOUT_S)


def override(document: Mapping[str, Any], settings: Mapping[str, str]) -> Mapping[str, Any]:
    """host.json with the settings that override it put in place."""
    changed: dict[str, Any] = json.loads(json.dumps(document))
    for name, value in settings.items():
        if name.lower().startswith(OVERRIDE.lower()):
            put(changed, name[len(OVERRIDE) :].split("__"), value)
    return changed


def put(target: dict[str, Any], path: list[str], value: str) -> None:
    """Set `value` at `path`; names match whatever their case, as .NET's configuration does."""
    name = next((known for known in target if known.lower() == path[0].lower()), path[0])
    if len(path) == 1:
        target[name] = value
        return
    inner = target.setdefault(name, {})
    if not isinstance(inner, dict):
        raise HostJsonError(f"a setting {OVERRIDE}... goes through {name}, which is no object")
    put(inner, path[1:], value)
