"""The app with some of its parts taken away, to see what each costs. Imports the app, which then reads its settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from unittest.mock import patch

import azure.functions as func

from blueprints import orders
from blueprints.web import responses
from services import app_services
from services.queue_session import QueueService
from services.tickets.desk import OrderDesk
from services.tickets.models import NewOrder, Order, OrderStatus

PARTS = ("http", "parse", "answer", "redis", "send", "log")  # in the order in which they are added
PLACED = Order(
    order_id="o", drop_id="d", customer_id="c", quantity=1, status=OrderStatus.QUEUED, placed_at=datetime.now(UTC)
)
ANSWER = func.HttpResponse("{}\n", status_code=202, mimetype="application/json")

nothing = func.FunctionApp()  # an app whose one function answers at once: what HTTP itself costs


@nothing.route("drops/{drop_id}/orders", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def answer(req: func.HttpRequest) -> func.HttpResponse:
    """202, whatever came."""
    return ANSWER


class NoDesk:
    """In place of the desk: every order is placed, and nobody was asked."""

    async def place(self, new: NewOrder, trace: Mapping[str, str] | None = None) -> Order:
        """At once."""
        return PLACED


class NoQueue:
    """In place of the queue session: every message is sent, and nobody has it."""

    def prepare(self) -> None:
        """Nothing to open."""

    async def send(self, *what: Any, **how: Any) -> None:
        """At once."""


@contextmanager
def up_to(part: str) -> Iterator[None]:
    """The app without the parts that come after this one."""
    shared = app_services.shared
    desk: Any = shared.order_desk
    if part in ("parse", "answer"):
        desk = cast("OrderDesk", NoDesk())
    elif part == "redis":
        desk = replace(shared.order_desk, queue=cast("QueueService", NoQueue()))
    with ExitStack() as stack:
        stack.enter_context(patch.object(app_services, "shared", replace(shared, order_desk=desk)))
        if part == "parse":
            stack.enter_context(patch.object(responses, "resource", lambda *about: ANSWER))
        orders.log.setLevel(logging.DEBUG if part == "log" else logging.WARNING)
        yield
