"""The HTTP session of one worker process with a partner."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from docs.examples.bounded_calls import BoundedCalls, Call, CallNotSent, CallOutcomeUnknown, PerLoop

CLOCKS = httpx.Timeout(30.0, connect=5.0)  # seconds


class PartnerApi(BoundedCalls):
    """On one event loop: at most `connections` requests at a time, and `waiting` callers more."""

    def __init__(self, url: str, connections: int, waiting: int) -> None:
        super().__init__(connections, waiting)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self.client = httpx.AsyncClient(base_url=url, timeout=CLOCKS, limits=limits)

    async def attempt(self, call: Call, method: str, path: str, **content: Any) -> httpx.Response:
        """One request, for `call`. Raises CallNotSent or CallOutcomeUnknown."""

        async def trace(event: str, _: object) -> None:
            call.sent = call.sent or event.endswith("send_request_headers.started")

        async with self.slots:
            await asyncio.sleep(self.not_before - self.loop.time())
            try:
                response = await self.client.request(method, path, extensions={"trace": trace}, **content)
            except httpx.TransportError as error:
                raise (CallOutcomeUnknown if call.sent else CallNotSent)(type(error).__name__) from None
        if response.status_code == 429:
            asked_s = response.headers.get("Retry-After", "")
            wait_s = float(asked_s) if asked_s.isdecimal() else 1.0
            self.not_before = self.loop.time() + wait_s + self.backoff.next_wait_s()  # not all instances at once
            raise CallNotSent("the partner asks for time")
        if response.status_code >= 500:
            raise CallOutcomeUnknown(f"the partner answered {response.status_code}")
        return response


partner = PerLoop(lambda: PartnerApi("https://partner.example", connections=2, waiting=100))


async def order(key: str, body: dict[str, Any]) -> httpx.Response:
    """Place an order; the same key is the same order."""
    here, headers = partner.here(), {"Idempotency-Key": key}
    return await here.call(
        lambda call: here.attempt(call, "POST", "/orders", json=body, headers=headers), idempotent=True, within_s=2.5
    )
