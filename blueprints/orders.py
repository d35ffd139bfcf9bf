"""HTTP: place an order, and follow it (the Asynchronous Request-Reply pattern of the Azure Architecture Center).

Uses the one Redis session of this process, `redis_service`, which is held at module scope in services/app_services.py
and reconnects when a ping fails (services/redis_session/redis_service.py), and the Service Bus session beside it.
"""

import logging

import azure.functions as func

from blueprints import invocations
from blueprints.web import inputs, responses
from services import app_services, telemetry
from services.queue_session import QueueUnavailable
from services.redis_session import OutcomeUnknown
from services.tickets.models import DropPath, NewOrder, Order, OrderHeaders, OrderPath, OrderStatus, PlaceOrder

log = logging.getLogger(__name__)
bp = func.Blueprint()

ADDRESS = "/api/drops/{}/orders/{}"  # not from the request's URL: its Host is whatever the caller sent
WHILE_QUEUED = {"Retry-After": "1"}  # seconds


@bp.route("drops/{drop_id}/orders", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def place_order(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """202 once Service Bus has taken the order, 200 if it has been decided already; Location either way."""
    drop_id = inputs.path(req, DropPath).drop_id
    command = inputs.body(req, PlaceOrder)
    new = NewOrder.of(drop_id, command, inputs.headers(req, OrderHeaders).idempotency_key)
    trace = invocations.trace_of(context)
    fields = invocations.log_fields(context, order_id=new.order_id, drop_id=drop_id)
    location = {"Location": ADDRESS.format(drop_id, new.order_id)}
    try:
        with telemetry.spans.function("place_order", trace, ids=fields):
            order = await app_services.shared.order_desk.place(new, telemetry.message_properties(trace))
            log.info("placed order %s of drop %s, now %s", new.order_id, drop_id, order.status, extra=fields)
    except (QueueUnavailable, OutcomeUnknown) as error:  # the order is recorded, or may be: say where
        return responses.problem(error, location)
    queued = order.status is OrderStatus.QUEUED
    return responses.resource(order, 202 if queued else 200, location | _retry_after(order))


@bp.route("drops/{drop_id}/orders/{order_id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def get_order(req: func.HttpRequest) -> func.HttpResponse:
    """200 with the order, whether decided or not."""
    ids = inputs.path(req, OrderPath)
    order = await app_services.shared.order_store.read_order(ids.drop_id, ids.order_id)
    return responses.resource(order, 200, _retry_after(order))


def _retry_after(order: Order) -> dict[str, str]:
    return WHILE_QUEUED if order.status is OrderStatus.QUEUED else {}
