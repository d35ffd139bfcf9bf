"""HTTP: place an order, and follow it (the Asynchronous Request-Reply pattern of the Azure Architecture Center)."""

import logging

import azure.functions as func

from blueprints import invocations
from blueprints.web import inputs as requests
from blueprints.web import responses
from services import app_services, telemetry
from services.errors import OutcomeUnknown, QueueUnavailable
from services.tickets.models import DropPath, Order, OrderHeaders, OrderPath, OrderStatus, PlaceOrder, order_id_for

log = logging.getLogger(__name__)
bp = func.Blueprint()

ADDRESS = "/api/drops/{}/orders/{}"  # not from the request's URL: its Host is whatever the caller sent
WHILE_QUEUED = {"Retry-After": "1"}  # seconds


@bp.route("drops/{drop_id}/orders", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def place_order(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """202 once Service Bus has taken the order, 200 if it has been decided already; Location either way."""
    drop_id = requests.path(req, DropPath).drop_id
    command = requests.body(req, PlaceOrder)
    key = requests.headers(req, OrderHeaders).idempotency_key
    order_id = order_id_for(drop_id, command.customer_id, key)
    trace, fields = invocations.trace_of(context), invocations.log_fields(context, order_id=order_id, drop_id=drop_id)
    location = {"Location": ADDRESS.format(drop_id, order_id)}
    try:
        with telemetry.spans.function("place_order", trace, ids=fields):
            properties = telemetry.message_properties(trace)
            order = await app_services.order_desk.place(order_id, drop_id, command, properties)
            log.info("placed order %s of drop %s, now %s", order_id, drop_id, order.status, extra=fields)
    except (QueueUnavailable, OutcomeUnknown) as error:  # the order is recorded, or may be: say where
        return responses.problem(error, location)
    queued = order.status is OrderStatus.QUEUED
    return responses.document(order, 202 if queued else 200, location | _retry_after(order))


@bp.route("drops/{drop_id}/orders/{order_id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@responses.answers_problems
async def get_order(req: func.HttpRequest) -> func.HttpResponse:
    """200 with the order, whether decided or not."""
    ids = requests.path(req, OrderPath)
    order = await app_services.order_desk.read_order(ids.drop_id, ids.order_id)
    return responses.document(order, 200, _retry_after(order))


def _retry_after(order: Order) -> dict[str, str]:
    return WHILE_QUEUED if order.status is OrderStatus.QUEUED else {}
