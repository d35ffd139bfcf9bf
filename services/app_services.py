"""The services that every function of this process shares, composed once at module scope.

`shared` is the composition: the three blueprints reach the one Redis session as `app_services.shared.redis_service`,
directly or through the order store. Building it does no I/O and never raises.
"""

import logging
import os
import random
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr

from services import telemetry
from services.identity import redis_credential_fetch, service_bus_credential
from services.queue_session import QueueService, ServiceBusConnection
from services.queue_session.queue_service import QueueHooks, SenderSource
from services.readiness import Readiness
from services.redis_session import Clocks, RedisCredential, RedisService
from services.settings import Settings, load_settings
from services.tickets.desk import OrderDesk
from services.tickets.store import OrderStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppServices:
    """One composition of the app. Its sessions connect on first use, on the event loop that runs then."""

    settings: Settings
    redis_service: RedisService
    queue_service: QueueService
    order_store: OrderStore
    order_desk: OrderDesk
    readiness: Readiness


def build(
    settings: Settings, *, sender: SenderSource | None = None, randomness: random.Random | None = None
) -> AppServices:
    """Compose the app from its settings. Bad ones count as left out; `readiness` names them.

    Args:
        sender: in place of the Service Bus connection that the settings name.
        randomness: for the jitter of every wait; default: a generator of its own for each.
    """
    redis_service = _redis(settings, randomness)
    hooks = QueueHooks(sending=lambda *about: telemetry.spans.sending(*about))
    queue_service = QueueService(
        sender or _service_bus(settings), settings.orders_queue, hooks=hooks, randomness=randomness
    )
    order_store = OrderStore(redis_service, settings.hold_s)
    return AppServices(
        settings,
        redis_service,
        queue_service,
        order_store,
        OrderDesk(order_store, queue_service, settings.patience_s, randomness),
        Readiness(redis_service, settings.problems),
    )


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _redis(settings: Settings, randomness: random.Random | None) -> RedisService:
    client_id = settings.redis_entra_client_id
    return RedisService(
        _reveal(settings.redis_url),
        connections=settings.redis_connections_per_worker,
        clocks=Clocks(idle_check_s=settings.redis_idle_check_s),
        credential=RedisCredential(redis_credential_fetch(client_id), randomness=randomness) if client_id else None,
        randomness=randomness,
    )


def _service_bus(settings: Settings) -> ServiceBusConnection:
    managed = settings.service_bus_credential is not None
    return ServiceBusConnection(
        connection_string=_reveal(settings.service_bus_connection),
        namespace=settings.service_bus_namespace,
        credential=partial(service_bus_credential, settings.service_bus_client_id, managed),
    )


def _turn_telemetry_on(services: AppServices) -> None:
    try:
        from services.telemetry import otel_spans, session_metrics

        spans = otel_spans.OtelSpans()
        session_metrics.watch(services.redis_service, services.queue_service)
    except Exception as error:  # noqa: BLE001 - missing, broken or told to load a provider that is not there: orders go on
        log.warning("telemetry is on and OpenTelemetry cannot be used: no spans and no metrics (%r)", error)
        return
    telemetry.spans = spans


shared = build(load_settings(os.environ))
for problem in shared.settings.problems:
    log.error("Bad app setting: %s", problem)
if shared.settings.telemetry:
    _turn_telemetry_on(shared)
