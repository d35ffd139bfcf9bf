"""The app settings, read once from the environment. A bad one never raises at import: it is reported and left out.

An exception while function_app.py is imported takes the whole app away, and publishing still succeeds. So each bad
setting becomes one line in `Settings.problems`: readiness answers 503 with its name, the rest of the app keeps serving.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from services.addresses import (
    check_connection_string,
    check_namespace,
    check_redis_address,
    connection_string_parts,
)
from services.connection_budget import FLEX_SCALE_GROUPS, ConnectionBudget, tier_limits
from services.errors import OverBudget

_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_QUEUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?")
_TRUE, _FALSE = {"1", "t", "true", "y", "yes"}, {"0", "f", "false", "n", "no"}
WORKER_TELEMETRY = "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"
HOST_TELEMETRY = "AzureFunctionsJobHost__telemetryMode"
LOCK_RENEWAL_S = 300  # host.json: maxAutoLockRenewalDuration


def _redis_address(url: SecretStr) -> SecretStr:
    check_redis_address(url.get_secret_value())
    return url


def _connection_string(text: SecretStr) -> SecretStr:
    check_connection_string(text.get_secret_value())
    return text


def _namespace(text: str) -> str:
    check_namespace(text)
    return text


def _client_id(text: str) -> str:
    if _GUID.fullmatch(text) is None:
        raise ValueError("must be an identity's client id, such as 11111111-2222-3333-4444-555555555555")
    return text


def _queue_name(text: str) -> str:
    if _QUEUE.fullmatch(text) is None:
        raise ValueError("must be a queue's name: up to 260 letters, digits and . _ - /, the ends a letter or a digit")
    return text


def _switch(text: str) -> str:
    """What the Python worker takes for true, and its opposites."""
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text.lower()


def _known_tier(name: str | None) -> str | None:
    if name is not None and name not in tier_limits():
        raise ValueError("is not in services/redis_tiers.json")
    return name


ClientId = Annotated[str, AfterValidator(_client_id)]


class Settings(BaseModel):
    """Every setting of the app itself, by the name it has in Azure. Durations in seconds; empty means left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    redis_entra_client_id: Annotated[ClientId | None, Field(alias="REDIS_ENTRA_CLIENT_ID")] = None
    redis_url: Annotated[Annotated[SecretStr, AfterValidator(_redis_address)] | None, Field(alias="REDIS_URL")] = None
    redis_connections_per_worker: Annotated[int, Field(ge=1, le=100, alias="REDIS_CONNECTIONS_PER_WORKER")] = 1
    redis_primaries: Annotated[int, Field(ge=1, le=1000, alias="REDIS_PRIMARIES")] = 1
    redis_idle_check_s: Annotated[float, Field(ge=0, le=600, alias="REDIS_IDLE_CHECK_S")] = 15.0
    service_bus_connection: Annotated[
        Annotated[SecretStr, AfterValidator(_connection_string)] | None, Field(alias="ServiceBusConnection")
    ] = None
    service_bus_namespace: Annotated[
        Annotated[str, AfterValidator(_namespace)] | None, Field(alias="ServiceBusConnection__fullyQualifiedNamespace")
    ] = None
    service_bus_credential: Annotated[
        Literal["managedidentity"] | None, Field(alias="ServiceBusConnection__credential")
    ] = None
    service_bus_client_id: Annotated[ClientId | None, Field(alias="ServiceBusConnection__clientId")] = None
    orders_queue: Annotated[Annotated[str, AfterValidator(_queue_name)] | None, Field(alias="ORDERS_QUEUE")] = None
    hold_s: Annotated[float, Field(gt=0, le=7 * 24 * 3600, alias="HOLD_S")] = 900.0
    patience_s: Annotated[float, Field(ge=0, le=LOCK_RENEWAL_S - 30, alias="PATIENCE_S")] = 120.0
    redis_tier: Annotated[str | None, AfterValidator(_known_tier), Field(alias="REDIS_TIER")] = None
    scale_out_limit: Annotated[int | None, Field(ge=1, le=1000, alias="SCALE_OUT_LIMIT")] = None
    scale_groups: Annotated[int, Field(ge=1, le=100, alias="SCALE_GROUPS")] = FLEX_SCALE_GROUPS
    always_ready_instances: Annotated[int, Field(ge=0, le=1000, alias="ALWAYS_READY_INSTANCES")] = 0
    redis_headroom_percent: Annotated[int, Field(ge=0, le=90, alias="REDIS_HEADROOM_PERCENT")] = 20
    worker_processes: Annotated[int, Field(ge=1, le=10, alias="FUNCTIONS_WORKER_PROCESS_COUNT")] = 1
    worker_telemetry: Annotated[str, AfterValidator(_switch), Field(alias=WORKER_TELEMETRY)] = "false"
    host_telemetry: Annotated[str, Field(max_length=32, alias=HOST_TELEMETRY)] = "ApplicationInsights"
    problems: tuple[str, ...] = ()

    @property
    def telemetry(self) -> bool:
        """Whether the Python worker exports what OpenTelemetry is told."""
        return self.worker_telemetry in _TRUE

    @property
    def connection_budget(self) -> ConnectionBudget | None:
        """The budget of the app as deployed; None where nothing says what the tier and the limit are (locally)."""
        if self.redis_tier is None or self.scale_out_limit is None:
            return None
        return ConnectionBudget(
            tier=self.redis_tier,
            scale_out_limit=self.scale_out_limit,
            scale_groups=self.scale_groups,
            always_ready=self.always_ready_instances,
            worker_processes=self.worker_processes,
            connections_per_worker=self.redis_connections_per_worker,
            headroom_percent=self.redis_headroom_percent,
            primaries=self.redis_primaries,
        )

    @field_validator("redis_url")
    @classmethod
    def _either_password_or_identity(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """A token travels to the server in the place of the password: alone, and never in clear."""
        if url is not None and info.data.get("redis_entra_client_id") is not None:
            parts = urlsplit(url.get_secret_value())
            if "@" in parts.netloc or parts.scheme != "rediss":
                raise ValueError(
                    "must be rediss://host:port/0 without user and password, next to REDIS_ENTRA_CLIENT_ID"
                )
        return url


READ_BY_THE_TRIGGER = ("ORDERS_QUEUE", "ServiceBusConnection__fullyQualifiedNamespace")  # untrimmed
SETTING_NAMES = tuple(field.alias for field in Settings.model_fields.values() if field.alias)


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Never raises: what is bad is named in `problems` and counts as left out."""
    problems = [f"{name}: {reason}" for name, text in environment.items() if (reason := _as_written(name, text))]
    given: dict[str, Any] = {
        name: text.strip()
        for name in SETTING_NAMES
        if (text := environment.get(name, "")).strip() and not _as_written(name, text)
    }
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False, include_context=False):
            name = str(detail["loc"][0])
            problems.append(f"{name}: {detail['msg'].removeprefix('Value error, ')}")
            given.pop(name, None)
        settings = Settings.model_validate(given)
    named = {problem.split(":")[0] for problem in problems}
    problems += [f"{name}: {reason}" for name, reason in _missing(settings) if name not in named]
    problems += _over_budget(settings)
    return settings.model_copy(update={"problems": tuple(problems)})


def _as_written(name: str, text: str) -> str | None:
    """What is wrong with a setting, the app's own or another, whatever it should hold."""
    if text.strip().lower().startswith("@microsoft.keyvault("):
        return "is a Key Vault reference that is not resolved: check its spelling, and the identity's right to read it"
    if name in READ_BY_THE_TRIGGER and text.strip() not in ("", text):
        return "has a space or a line break around it, which the trigger would use as part of the name"
    return None


def _over_budget(settings: Settings) -> list[str]:
    """The numbers, if full scale-out would open more connections than the tier allows. The app keeps serving."""
    try:
        if settings.connection_budget is not None:
            settings.connection_budget.check()
    except OverBudget as error:
        return [str(error)]
    return []


def _missing(settings: Settings) -> list[tuple[str, str]]:
    missing = []
    if settings.redis_url is None:
        missing.append(("REDIS_URL", "is missing"))
    if settings.orders_queue is None:
        missing.append(("ORDERS_QUEUE", "is missing"))
    if settings.service_bus_connection is None and settings.service_bus_namespace is None:
        missing.append(("ServiceBusConnection", "is missing, and so is ServiceBusConnection__fullyQualifiedNamespace"))
    if settings.service_bus_connection is not None and settings.orders_queue is not None:
        entity = connection_string_parts(settings.service_bus_connection.get_secret_value()).get("entitypath")
        if entity not in (None, settings.orders_queue):
            missing.append(("ServiceBusConnection", "its EntityPath is another queue than ORDERS_QUEUE: leave it out"))
    if (settings.redis_tier is None) != (settings.scale_out_limit is None):
        absent = "REDIS_TIER" if settings.redis_tier is None else "SCALE_OUT_LIMIT"
        missing.append((absent, "is missing: without it the connection budget cannot be checked"))
    if settings.telemetry != (settings.host_telemetry.lower() == "opentelemetry"):
        both = f"must be OpenTelemetry if {WORKER_TELEMETRY} is true, and only then: with one of the two, logs are lost"
        missing.append((HOST_TELEMETRY, both))
    return missing
