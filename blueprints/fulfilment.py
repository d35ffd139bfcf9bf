"""Service Bus: decide each order on the queue. Returning completes the message; raising has it delivered again."""

import logging

import azure.functions as func

from blueprints import requests
from services import app_services
from services.errors import InvalidInput, Undecidable
from services.models import OrderMessage

log = logging.getLogger(__name__)
bp = func.Blueprint()


@bp.service_bus_queue_trigger(arg_name="message", queue_name="%ORDERS_QUEUE%", connection="ServiceBusConnection")
async def fulfil_order(message: func.ServiceBusMessage) -> None:
    """Decide the order, once. A message that can never succeed raises each time and ends in the dead-letter queue."""
    try:
        order = await app_services.order_desk.decide(_parsed(message))
    except Undecidable as error:
        log.error("message %r can never succeed and will be dead-lettered: %s", message.message_id, error)  # noqa: TRY400 - the reason is the whole story
        raise
    log.info("order %s of drop %s: %s", order.order_id, order.drop_id, order.reason or order.status)


def _parsed(message: func.ServiceBusMessage) -> OrderMessage:
    try:
        return requests.parse_json(message.get_body(), OrderMessage)
    except InvalidInput as error:
        raise Undecidable(f"not an order message: {error}") from error
