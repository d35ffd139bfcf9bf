"""HTTP: place an order, and follow it (the Asynchronous Request-Reply pattern of the Azure Architecture Center)."""

import azure.functions as func

from blueprints import requests, responses
from services import app_services
from services.errors import OutcomeUnknown, QueueUnavailable
from services.models import DropPath, Order, OrderHeaders, OrderPath, OrderStatus, PlaceOrder, order_id_for

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
    location = {"Location": ADDRESS.format(drop_id, order_id)}
    try:
        order = await app_services.order_desk.place(order_id, drop_id, command, _trace(context))
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


def _trace(context: func.Context) -> dict[str, str]:
    """The W3C trace context, under the names that the Service Bus SDKs and the host read."""
    trace = context.trace_context
    if not trace.trace_parent:
        return {}
    state = {"tracestate": trace.trace_state} if trace.trace_state else {}
    return {"Diagnostic-Id": trace.trace_parent, "traceparent": trace.trace_parent, **state}
