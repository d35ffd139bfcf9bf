"""The module-scope instances that every blueprint shares. Building them does no I/O and never raises."""

import logging
import os
from functools import partial

from pydantic import SecretStr

from services import telemetry
from services.identity import entra_credential
from services.queue_session.connection import ServiceBusConnection, identity_credential
from services.queue_session.queue_service import OrderQueue
from services.readiness import Readiness
from services.redis_session.credential import RedisCredential
from services.redis_session.redis_service import Clocks, RedisService
from services.settings import Settings, load_settings
from services.tickets.desk import OrderDesk
from services.tickets.store import OrderStore

log = logging.getLogger(__name__)


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _redis(settings: Settings) -> RedisService:
    client_id = settings.redis_entra_client_id
    return RedisService(
        _reveal(settings.redis_url),
        connections=settings.redis_connections_per_worker,
        clocks=Clocks(idle_check_s=settings.redis_idle_check_s),
        credential=RedisCredential(partial(entra_credential, client_id)) if client_id else None,
    )


def _queue(settings: Settings) -> OrderQueue:
    managed, client_id = settings.service_bus_credential is not None, settings.service_bus_client_id
    connection = ServiceBusConnection(
        connection_string=_reveal(settings.service_bus_connection),
        namespace=settings.service_bus_namespace,
        credential=lambda: identity_credential(client_id, managed),
    )
    return OrderQueue(connection, settings.orders_queue)


def _turn_telemetry_on() -> None:
    try:
        from services.telemetry import otel_spans, session_metrics

        spans = otel_spans.OtelSpans()
        session_metrics.watch(redis_service, order_queue)
    except Exception as error:  # noqa: BLE001 - missing, broken or told to load a provider that is not there: orders go on
        log.warning("telemetry is on and OpenTelemetry cannot be used: no spans and no metrics (%r)", error)
        return
    telemetry.spans = spans


settings = load_settings(os.environ)
for problem in settings.problems:
    log.error("Bad app setting: %s", problem)

redis_service = _redis(settings)
order_queue = _queue(settings)
order_desk = OrderDesk(OrderStore(redis_service, settings.hold_s), order_queue, settings.patience_s)
readiness = Readiness(redis_service, settings.problems)
if settings.telemetry:
    _turn_telemetry_on()
