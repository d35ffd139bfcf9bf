"""Commands, records and messages, as pydantic models: what may come in, what goes out, what lies on the queue.

Strict on the way in over HTTP (unknown fields, wrong types and numbers out of range are refused), tolerant of extra
fields on the queue, so that an older worker can decide what a newer one has enqueued. No I/O here.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

MAX_STOCK = 1_000_000
MAX_AGE_S = 366 * 24 * 3600
MAX_TICKETS = 100  # of one order, and of one customer in one drop

_NO_CURSOR = "is not a cursor from a page of this list"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_ORDER_NAMESPACE = uuid.UUID("6f1d6f0e-6f0c-5c56-9a0e-0f6f6f3a3c55")


def _rfc3339_only(value: Any) -> Any:
    """Pydantic also takes dates without a time and seconds since 1970; RFC 3339 section 5.6 does not."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("must be an RFC 3339 time such as 2030-01-31T18:00:00Z")


def _digits_only(value: Any) -> Any:
    """A query's values are text; pydantic would also take `1.0` and ` 1`."""
    if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit()):
        return value
    raise ValueError("must be a whole number")


def _of_form(pattern: str, longest: int, words: str) -> tuple[Any, ...]:
    """The metadata of a text that matches the pattern as a whole; `words` say so to a caller."""

    def check(text: str) -> str:
        if not 1 <= len(text) <= longest or re.fullmatch(pattern, text) is None:
            raise ValueError(words)
        return text

    schema = {"type": "string", "pattern": f"^{pattern}$", "minLength": 1, "maxLength": longest}
    return AfterValidator(check), WithJsonSchema(schema)


def _in_64_bits(cursor: str) -> str:
    if int(cursor) >= 2**64:
        raise ValueError(_NO_CURSOR)
    return cursor


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


def rfc3339(time: datetime) -> str:
    """The time in UTC with milliseconds, e.g. `2030-01-31T18:00:00.000Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_ID = "[A-Za-z0-9._-]*"
_KEY = r"[\x21-\x7e]*"
Id = Annotated[str, *_of_form(_ID, 64, "must be 1 to 64 letters, digits, dots, underscores or hyphens")]
IdempotencyKey = Annotated[str, *_of_form(_KEY, 128, "must be 1 to 128 visible ASCII characters")]
Quantity = Annotated[int, Field(ge=1, le=MAX_TICKETS)]
Time = Annotated[
    AwareDatetime,
    Field(strict=False),  # strict would refuse a string behind a validator of ours
    BeforeValidator(_rfc3339_only),
    AfterValidator(_in_utc),
    PlainSerializer(rfc3339, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class OrderStatus(StrEnum):
    """`queued` may change once; the other two are final."""

    QUEUED = "queued"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


class RefusalReason(StrEnum):
    """Why a decided order was refused."""

    SOLD_OUT = "sold_out"
    CUSTOMER_LIMIT = "customer_limit"


class _Strict(BaseModel):
    # defer_build: a cold start pays only for the models that its first request uses
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, defer_build=True, json_schema_serialization_defaults_required=True
    )


class DropPath(_Strict):
    """The ids in the address of a drop."""

    drop_id: Id


class OrderPath(DropPath):
    """The ids in the address of an order."""

    order_id: Id


class PutDrop(_Strict):
    """The body of PUT /drops/{drop_id}. Left out, `closes_at` is 7 days ahead on create and unchanged on restock."""

    stock: Annotated[int, Field(ge=0, le=MAX_STOCK)]
    per_customer: Quantity
    closes_at: Time | None = None


class PlaceOrder(_Strict):
    """The body of POST /drops/{drop_id}/orders."""

    customer_id: Id
    quantity: Quantity


class ListOrders(_Strict):
    """The query of GET /drops/{drop_id}/orders. `queued_for_s`: queued at least that long, by Redis's clock.

    `limit` is HSCAN's COUNT and `cursor` its cursor: a page may hold fewer orders, more, or some again.
    """

    status: Annotated[
        OrderStatus | None, Field(strict=False), WithJsonSchema({"enum": [status.value for status in OrderStatus]})
    ] = None
    customer_id: Annotated[Id | None, WithJsonSchema({"type": "string", "pattern": f"^{_ID}$", "maxLength": 64})] = None
    queued_for_s: Annotated[
        int | None,
        Field(strict=False, ge=0, le=MAX_AGE_S),
        BeforeValidator(_digits_only),
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_AGE_S}),
    ] = None
    limit: Annotated[int, Field(strict=False, ge=1, le=500), BeforeValidator(_digits_only)] = 100
    cursor: Annotated[str, *_of_form("[0-9]*", 20, _NO_CURSOR), AfterValidator(_in_64_bits)] = "0"


class OrderHeaders(_Strict):
    """The header that makes a POST repeatable: 1 to 128 visible ASCII characters."""

    idempotency_key: Annotated[IdempotencyKey, Field(alias="Idempotency-Key")]


class Drop(_Strict):
    """A drop as a client sees it. All amounts in tickets; confirmed + remaining == stock, always."""

    drop_id: Id
    stock: int
    per_customer: int
    closes_at: Time
    remaining: int
    confirmed: int
    refused: int


class Order(_Strict):
    """An order as a client sees it, and as it is put on the queue."""

    order_id: Id
    drop_id: Id
    customer_id: Id
    quantity: Quantity
    status: OrderStatus
    reason: RefusalReason | None = None
    placed_at: Time
    decided_at: Time | None = None


class OrderPage(_Strict):
    """Some of a drop's orders. A null cursor ends the list; any other leads to the next page."""

    orders: list[Order]
    cursor: str | None


class OrderMessage(BaseModel):
    """What fulfilment needs of a queue message. One made by hand needs no more than these four."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, defer_build=True)

    order_id: Id
    drop_id: Id
    customer_id: Id
    quantity: Quantity


@dataclass(frozen=True)
class NewOrder:
    """An order to be placed."""

    order_id: str
    drop_id: str
    customer_id: str
    quantity: int

    @classmethod
    def of(cls, drop_id: str, command: PlaceOrder, idempotency_key: str) -> Self:
        """The one order that this key can make: a key belongs to one customer of one drop (UUID version 5)."""
        parts = drop_id, command.customer_id, idempotency_key
        return cls(str(uuid.uuid5(_ORDER_NAMESPACE, "\n".join(parts))), drop_id, command.customer_id, command.quantity)
