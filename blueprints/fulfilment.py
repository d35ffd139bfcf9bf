"""Service Bus: decide each order on the queue. Returning completes the message; raising has it delivered again."""

import logging

import azure.functions as func

from blueprints import invocations
from blueprints.web import inputs as requests
from services import app_services, telemetry
from services.errors import InvalidInput, Undecidable
from services.tickets.models import OrderMessage

log = logging.getLogger(__name__)
bp = func.Blueprint()


@bp.service_bus_queue_trigger(arg_name="message", queue_name="%ORDERS_QUEUE%", connection="ServiceBusConnection")
async def fulfil_order(message: func.ServiceBusMessage, context: func.Context) -> None:
    """Decide the order, once. A message that can never succeed raises each time and ends in the dead-letter queue."""
    fields = invocations.log_fields(context)
    try:
        asked = _parsed(message)
        fields |= {"order_id": asked.order_id, "drop_id": asked.drop_id}
        traces = invocations.trace_of(context), invocations.trace_of_message(message)
        with telemetry.spans.function("fulfil_order", *traces, ids=fields):
            order = await app_services.order_desk.decide(asked)
            fields["outcome"] = order.reason or order.status
            log.info("order %s of drop %s: %s", order.order_id, order.drop_id, fields["outcome"], extra=fields)
    except Undecidable as error:
        told = message.message_id, error
        log.error("message %r can never succeed and will be dead-lettered: %s", *told, extra=fields)  # noqa: TRY400 - the reason is the whole story
        raise


def _parsed(message: func.ServiceBusMessage) -> OrderMessage:
    try:
        return requests.parse_json(message.get_body(), OrderMessage)
    except InvalidInput as error:
        raise Undecidable(f"not an order message: {error}") from error
