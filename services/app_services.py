"""The services that every function of this process shares, composed once at module scope.

`shared` is the composition: the three blueprints reach the one Redis session as `app_services.shared.redis_service`,
directly or through the order store. Building it does no I/O and never raises.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import SecretStr

from services import telemetry
from services.identity import redis_credential_fetch, service_bus_credential
from services.queue_session import QueueService, QueueUnavailable, ServiceBusConnection
from services.queue_session.queue_service import QueueHooks, SenderSource
from services.readiness import Readiness, RecentSends
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
    unsaid: list[str] = field(default_factory=list)

    def say_what_is_bad(self) -> None:
        """Log each bad setting once, in an invocation: the real host drops log lines that belong to none."""
        while self.unsaid:
            log.error("Bad app setting: %s", self.unsaid.pop(0))


def build(
    settings: Settings, *, sender: SenderSource | None = None, randomness: random.Random | None = None
) -> AppServices:
    """Compose the app from its settings. Bad ones count as left out; `readiness` names them.

    Args:
        sender: in place of the Service Bus connection that the settings name.
        randomness: for the jitter of every wait; default: a generator of its own for each.
    """
    budget, redis_service = settings.connection_budget, _redis(settings, randomness)
    sends = RecentSends()
    hooks = QueueHooks(sending=partial(_noted, sends))
    queue_service = QueueService(
        sender or _service_bus(settings), settings.orders_queue, hooks=hooks, randomness=randomness
    )
    order_store = OrderStore(redis_service, settings.hold_s)
    return AppServices(
        settings,
        redis_service,
        queue_service,
        order_store,
        OrderDesk(order_store, queue_service, settings.patience_s),
        Readiness(redis_service, settings.problems, sends, budget.primaries if budget else None),
        list(settings.problems),
    )


@contextmanager
def _noted(sends: RecentSends, *about: Any) -> Iterator[Mapping[str, str]]:
    """A send's span, and a note for readiness of how the send went."""
    with telemetry.spans.sending(*about) as properties:
        try:
            yield properties
        except QueueUnavailable:
            sends.note(succeeded=False)
            raise
        sends.note(succeeded=True)


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _redis(settings: Settings, randomness: random.Random | None) -> RedisService:
    client_id = settings.redis_entra_client_id
    return RedisService(
        _reveal(settings.redis_url),
        name="-".join(filter(None, map(os.environ.get, ("WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID")))),
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
    except Exception as error:  # noqa: BLE001 - whatever is wrong with telemetry, orders go on
        log.warning("telemetry is on and OpenTelemetry cannot be used: no spans and no metrics (%r)", error)
        return
    telemetry.spans = spans


shared = build(load_settings(os.environ))
for problem in shared.settings.problems:
    print(f"Bad app setting: {problem}", file=sys.stderr)  # noqa: T201 - of an import, the real host shows this alone
if shared.settings.telemetry:
    _turn_telemetry_on(shared)
