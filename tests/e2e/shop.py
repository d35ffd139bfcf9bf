"""What the end-to-end tests do again and again: put a drop, order, wait for the decision."""

from __future__ import annotations

import time
from typing import Any

import httpx

DECIDED_WITHIN_S = 120


def put_drop(api: httpx.Client, drop_id: str, stock: int, per_customer: int = 100) -> httpx.Response:
    """Put a drop on sale."""
    return api.put(f"/drops/{drop_id}", json={"stock": stock, "per_customer": per_customer})


def order(api: httpx.Client, drop_id: str, customer: str, quantity: int = 1, key: str = "k") -> httpx.Response:
    """Place an order."""
    body = {"customer_id": customer, "quantity": quantity}
    return api.post(f"/drops/{drop_id}/orders", json=body, headers={"Idempotency-Key": key})


def decided(api: httpx.Client, drop_id: str, order_id: str) -> dict[str, Any]:
    """The order once it is decided: until then it may be queued, unknown, or nobody may be able to say."""
    ends_at = time.monotonic() + DECIDED_WITHIN_S
    while True:
        answer = api.get(f"/drops/{drop_id}/orders/{order_id}")
        if answer.status_code == 200 and answer.json()["status"] != "queued":
            found: dict[str, Any] = answer.json()
            return found
        assert time.monotonic() < ends_at, f"not decided in time: {answer.text}"
        time.sleep(0.05)
