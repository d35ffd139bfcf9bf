"""Service Bus: decide each order on the queue. Returning completes the message; raising has it delivered again.

Uses the one Redis session of this process, `redis_service`, which is held at module scope in services/app_services.py
and reconnects when a ping fails (services/redis_session/redis_service.py).
"""

import logging

import azure.functions as func

from blueprints import invocations
from blueprints.strict_json import parse_json
from services import app_services, telemetry
from services.errors import InvalidInput, Undecidable
from services.tickets.models import OrderMessage

log = logging.getLogger(f"services.{__name__}")  # below the one logger that Application Insights is given
MOST_DELIVERIES = 10  # the queue's maxDeliveryCount: the first delivery and the last tell the reason, the others do not
bp = func.Blueprint()


@bp.service_bus_queue_trigger(arg_name="message", queue_name="%ORDERS_QUEUE%", connection="ServiceBusConnection")
async def fulfil_order(message: func.ServiceBusMessage, context: func.Context) -> None:
    """Decide the order, once. A message that can never succeed raises each time and ends in the dead-letter queue."""
    app_services.shared.say_what_is_bad()
    fields = invocations.log_fields(context)
    try:
        order_message = _parsed(message)
        fields |= {"order_id": order_message.order_id, "drop_id": order_message.drop_id}
        traces = invocations.trace_of(context), invocations.trace_of_message(message)
        with telemetry.spans.function("fulfil_order", *traces, ids=fields):
            order = await app_services.shared.order_desk.decide(order_message)
            fields["outcome"] = order.reason or order.status
            log.info("order %s of drop %s: %s", order.order_id, order.drop_id, fields["outcome"], extra=fields)
    except Undecidable as error:
        reason = f"message {message.message_id!r} can never succeed and will be dead-lettered: {error}"
    else:
        return
    if message.delivery_count in (None, 1, MOST_DELIVERIES):
        log.error(reason, extra=fields)
    # Raised from here, not from where it was found: the host prints the whole traceback at each delivery.
    raise Undecidable(reason)


def _parsed(message: func.ServiceBusMessage) -> OrderMessage:
    try:
        return parse_json(message.get_body(), OrderMessage)
    except InvalidInput as error:
        raise Undecidable(f"not an order message: {error}") from error
