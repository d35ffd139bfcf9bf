"""Our business as its customers see it: the requests of a drop, and what their answers mean.

The one file of the spike to change for another business, with books.py. Uses nothing of the app: only its HTTP API.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

PER_CUSTOMER = 100  # tickets


class Verdict(Enum):
    """What an answer to an order means."""

    ACCEPTED = "accepted"
    SOLD_OUT = "sold out"
    FAILED = "failed"


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


@dataclass(frozen=True)
class Shop:
    """One drop, and `users` distinct customers who order one ticket at a time."""

    drop_id: str
    users: int
    may_sell_out: bool = False

    def put(self, stock: int) -> Request:
        content = {"stock": stock, "per_customer": PER_CUSTOMER}
        return Request("PUT", f"/api/drops/{self.drop_id}", _JSON, json.dumps(content).encode())

    def order(self, number: int) -> Request:
        """Order number `number`. The same number is the same order: its key makes it repeatable."""
        content = {"customer_id": f"user-{number % self.users}", "quantity": 1}
        headers = {**_JSON, "Idempotency-Key": f"order-{number}"}
        return Request("POST", f"/api/drops/{self.drop_id}/orders", headers, json.dumps(content).encode())

    def read(self, order_id: str | None = None) -> Request:
        return Request("GET", f"/api/drops/{self.drop_id}" + (f"/orders/{order_id}" if order_id else ""), {})

    def verdict(self, status: int, body: bytes) -> tuple[Verdict, str | None]:
        """What an answer to an order means, and the order's id if it was accepted."""
        if status in (200, 202):  # 200: repeated, and decided by now
            order_id = _field(body, "order_id")
            return (Verdict.ACCEPTED, order_id) if order_id else (Verdict.FAILED, None)
        if status == 409 and self.may_sell_out and (_field(body, "type") or "").endswith(":sold-out"):
            return Verdict.SOLD_OUT, None
        return Verdict.FAILED, None


def _field(body: bytes, name: str) -> str | None:
    try:
        found: Any = json.loads(body)[name]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


_JSON = {"Content-Type": "application/json"}
