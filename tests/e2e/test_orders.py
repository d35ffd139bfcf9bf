"""Orders over HTTP, through the queue, to their decision."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from tests.e2e.shop import decided, order, put_drop
from tests.running_lab import Lab


def test_an_order_is_accepted_followed_and_confirmed(api: httpx.Client, drop_id: str) -> None:
    assert put_drop(api, drop_id, 5).status_code == 201
    placed = order(api, drop_id, "ada", 3)
    assert placed.status_code == 202
    assert placed.headers["Retry-After"] == "1"
    assert placed.headers["Location"] == f"/api/drops/{drop_id}/orders/{placed.json()['order_id']}"
    found = decided(api, drop_id, placed.json()["order_id"])
    assert (found["status"], found["reason"]) == ("confirmed", None)
    drop = api.get(f"/drops/{drop_id}").json()
    assert (drop["stock"], drop["remaining"], drop["confirmed"], drop["refused"]) == (5, 2, 3, 0)


@pytest.mark.by_hand("the message goes past the app")
def test_a_message_put_on_the_queue_by_hand_is_decided(api: httpx.Client, lab: Lab, drop_id: str) -> None:
    put_drop(api, drop_id, 1)
    body = f'{{"order_id": "by-hand", "drop_id": "{drop_id}", "customer_id": "carol", "quantity": 1}}'
    lab.command("enqueue", body)
    assert decided(api, drop_id, "by-hand")["status"] == "confirmed"


async def test_a_thousand_orders_for_a_hundred_tickets_confirm_exactly_a_hundred(lab: Lab, drop_id: str) -> None:
    limits = httpx.Limits(max_connections=20)  # its pool is slow with more
    async with httpx.AsyncClient(base_url=f"{lab.url}/api", headers=lab.headers, timeout=30, limits=limits) as api:
        await api.put(f"/drops/{drop_id}", json={"stock": 100, "per_customer": 1})

        async def place(number: int) -> httpx.Response:
            return await api.post(
                f"/drops/{drop_id}/orders",
                json={"customer_id": f"customer-{number}", "quantity": 1},
                headers={"Idempotency-Key": "once"},
            )

        answers = await asyncio.gather(*(place(number) for number in range(1000)))
        assert {answer.status_code for answer in answers} <= {202, 409}
        accepted = [answer.json()["order_id"] for answer in answers if answer.status_code == 202]

        async def outcome(order_id: str) -> str:
            while True:
                found = (await api.get(f"/drops/{drop_id}/orders/{order_id}")).json()
                if found["status"] != "queued":
                    return str(found["status"])
                await asyncio.sleep(0.2)

        outcomes = Counter(await asyncio.gather(*map(outcome, accepted)))
        drop = (await api.get(f"/drops/{drop_id}")).json()
    assert outcomes["confirmed"] == 100
    assert (drop["confirmed"], drop["remaining"], drop["refused"]) == (100, 0, len(accepted) - 100)
