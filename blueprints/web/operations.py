"""What the OpenAPI document says of each HTTP function. A test compares it with the functions that are registered."""

import functools
import json

from blueprints.web import inputs, openapi
from blueprints.web.openapi import Answer, Operation
from services import errors
from services.tickets.errors import BelowConfirmed, CustomerLimit, DropClosed, SoldOut
from services.tickets.models import (
    Drop,
    DropPath,
    ListOrders,
    Order,
    OrderHeaders,
    OrderPage,
    OrderPath,
    PlaceOrder,
    PutDrop,
)

TITLE = "A ticket drop"
DESCRIPTION = """\
Sells the limited stock of a drop to everybody who orders at once. Put a drop, place an order (202: it is queued), then
follow its `Location`: a queue function confirms or refuses each order, once. Repeat a request with the same
`Idempotency-Key` as often as you like, after a 503 or no answer too: it stays one order.

Ids are `[A-Za-z0-9._-]{1,64}`, times RFC 3339 in UTC, amounts tickets.

The host itself answers with an empty body: 404 an unknown route or method, 401 a missing key, 400, 414, 429 and 431
what it does not take, and 500 when its worker ended or ran out of time: the outcome is then unknown, so repeat the
request with its key. Send a body with its `Content-Length`: one sent in chunks arrives empty."""

ID = "3ebd13ef-d6dd-54f3-a2e0-2c3e3f434380"  # of the order that the examples place
DROP = {
    "drop_id": "demo",
    "stock": 5,
    "per_customer": 4,
    "closes_at": "2030-01-31T18:00:00.000Z",
    "remaining": 5,
    "confirmed": 0,
    "refused": 0,
}
QUEUED = {
    "order_id": ID,
    "drop_id": "demo",
    "customer_id": "ada",
    "quantity": 4,
    "status": "queued",
    "reason": None,
    "placed_at": "2030-01-30T18:00:00.000Z",
    "decided_at": None,
}
CONFIRMED = QUEUED | {"status": "confirmed", "decided_at": "2030-01-30T18:00:00.250Z"}

OPERATIONS = (
    Operation(
        "put_drop",
        "PUT",
        "drops/{drop_id}",
        "Put a drop on sale, or restock it",
        (Answer(201, "The new drop.", Drop, DROP), Answer(200, "The restocked drop.", Drop, DROP)),
        "`stock` is the whole stock, sold tickets included. `closes_at` is at most 90 days ahead, by Redis's clock; a "
        "past time closes the drop; left out it is 7 days ahead for a new drop and unchanged for a restock.",
        path=DropPath,
        body=PutDrop,
        refusals=(BelowConfirmed("the stock cannot be lower than the tickets already confirmed"),),
        examples={"drop_id": "demo", "stock": 5, "per_customer": 4},
        tag="drops",
    ),
    Operation(
        "get_drop",
        "GET",
        "drops/{drop_id}",
        "Read a drop",
        (Answer(200, "The drop.", Drop, DROP),),
        path=DropPath,
        refusals=(errors.NotFound("there is no such drop"),),
        examples={"drop_id": "demo"},
        tag="drops",
    ),
    Operation(
        "place_order",
        "POST",
        "drops/{drop_id}/orders",
        "Place an order",
        (
            Answer(202, "The order is on the queue.", Order, QUEUED, always=("Location", "Retry-After")),
            Answer(200, "The order was decided before.", Order, CONFIRMED, always=("Location",)),
        ),
        "The same request repeated finds the same order: its id is made of drop, customer and key. A 503 with a "
        "Location means that the order is recorded, or may be; the same request repeated finishes it.",
        path=DropPath,
        headers=OrderHeaders,
        body=PlaceOrder,
        refusals=(
            errors.NotFound("there is no such drop"),
            DropClosed("the drop takes no more orders"),
            CustomerLimit("the order would exceed what this drop allows one customer"),
            SoldOut("not enough tickets are left for the whole quantity"),
            errors.KeyReused("this Idempotency-Key has already made an order of another quantity"),
        ),
        when_unavailable=("Location",),
        examples={"drop_id": "demo", "Idempotency-Key": "first", "customer_id": "ada", "quantity": 4},
        tag="orders",
    ),
    Operation(
        "list_orders",
        "GET",
        "drops/{drop_id}/orders",
        "List a drop's orders",
        (Answer(200, "A page of orders.", OrderPage, {"orders": [CONFIRMED], "cursor": None}),),
        "All of them, or those that the query names, in pages and in no order. `limit` is how many orders a page looks "
        "at: it may hold fewer, none, more, or some that an earlier page had. A null `cursor` ends the list; any other "
        "goes into the next request. `queued_for_s`: queued for at least so many seconds, by Redis's clock.",
        path=DropPath,
        query=ListOrders,
        refusals=(errors.NotFound("there is no such drop"),),
        examples={"drop_id": "demo", "limit": 100},
        tag="orders",
    ),
    Operation(
        "get_order",
        "GET",
        "drops/{drop_id}/orders/{order_id}",
        "Follow an order",
        (Answer(200, "The order, decided or not.", Order, CONFIRMED, sometimes=("Retry-After",)),),
        "Retry-After comes with an order that is still queued, and grows with its age.",
        path=OrderPath,
        refusals=(errors.NotFound("there is no such order in this drop"),),
        examples={"drop_id": "demo", "order_id": ID},
        tag="orders",
    ),
    *openapi.HOUSEKEEPING,
)


@functools.cache
def openapi_document(server: str = inputs.DEFAULT_MOUNT) -> str:
    """The OpenAPI document as JSON, made once per process and server, which is the path in front of the routes."""
    return json.dumps(openapi.document(TITLE, DESCRIPTION, OPERATIONS, inputs.MAX_BODY, server)) + "\n"
