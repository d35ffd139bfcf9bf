"""HTTP: place an order, and follow it (the Asynchronous Request-Reply pattern of the Azure Architecture Center).

Uses the one Redis session of this process, `redis_service`, which is held at module scope in services/app_services.py
and reconnects when a ping fails (services/redis_session/redis_service.py), and the Service Bus session beside it.
"""

import logging
from datetime import UTC, datetime

import azure.functions as func

from blueprints import invocations
from blueprints.web import inputs, responses
from services import app_services, telemetry
from services.queue_session import QueueUnavailable
from services.redis_session import OutcomeUnknown
from services.tickets.models import (
    DropPath,
    ListOrders,
    NewOrder,
    Order,
    OrderHeaders,
    OrderPath,
    OrderStatus,
    PlaceOrder,
)

log = logging.getLogger(f"services.{__name__}")  # below the one logger that Application Insights is given
bp = func.Blueprint()

ORDERS, ORDER = "drops/{drop_id}/orders", "drops/{drop_id}/orders/{order_id}"
ASK_AGAIN_S = (1, 60)  # while an order is queued: a tenth of its age, within these


@bp.route(ORDERS, methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def place_order(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """202 once Service Bus has taken the order, 200 if it has been decided already; Location either way."""
    drop_id = inputs.path(req, DropPath).drop_id
    command = inputs.body(req, PlaceOrder)
    new = NewOrder.of(drop_id, command, inputs.headers(req, OrderHeaders).idempotency_key)
    trace = invocations.trace_of(context)
    fields = invocations.log_fields(context, order_id=new.order_id, drop_id=drop_id)
    address = ORDER.format(drop_id=drop_id, order_id=new.order_id)
    location = {"Location": f"{inputs.mount(req, ORDERS)}/{address}"}
    try:
        with telemetry.spans.function("place_order", trace, ids=fields):
            order = await app_services.shared.order_desk.place(new, telemetry.message_properties(trace))
            if log.isEnabledFor(logging.DEBUG):  # a line costs the worker 100 us: fulfil_order says what became of it
                log.debug("placed order %s of drop %s, now %s", new.order_id, drop_id, order.status, extra=fields)
    except (QueueUnavailable, OutcomeUnknown) as error:  # the order is recorded, or may be: say where
        return responses.unavailable("place_order", error, fields, location)
    queued = order.status is OrderStatus.QUEUED
    return responses.resource(order, 202 if queued else 200, location | _retry_after(order))


@bp.route(ORDERS, methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def list_orders(req: func.HttpRequest) -> func.HttpResponse:
    """200 with a page of the drop's orders."""
    drop_id = inputs.path(req, DropPath).drop_id
    page = await app_services.shared.order_store.list_orders(drop_id, inputs.query(req, ListOrders))
    return responses.resource(page, 200)


@bp.route(ORDER, methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def get_order(req: func.HttpRequest) -> func.HttpResponse:
    """200 with the order, whether decided or not."""
    ids = inputs.path(req, OrderPath)
    order = await app_services.shared.order_store.read_order(ids.drop_id, ids.order_id)
    return responses.resource(order, 200, _retry_after(order))


def _retry_after(order: Order) -> dict[str, str]:
    """An order that has waited long need not be asked for often. By this instance's clock, as it is only advice."""
    if order.status is not OrderStatus.QUEUED:
        return {}
    age_s = (datetime.now(UTC) - order.placed_at).total_seconds()
    least, most = ASK_AGAIN_S
    return {"Retry-After": str(min(max(int(age_s / 10), least), most))}
