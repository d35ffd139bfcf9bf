"""The customers: each order is sent when it is due, over HTTP, and its answer judged.

Latency counts from the time an order was due, not from when it was sent. An order is sent once, or, where it is told
to repeat what was answered 503 as customers do, again with the same key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import aiohttp

from lab.proof.tasks import end_all
from lab.tickets.shop import Request, Shop, Verdict

ANSWER_S = 30.0  # then a customer has left
MOST_WAITING = 4000  # orders without an answer; the next ones wait for a place, and that counts as latency
SPIN_S = 0.001
NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Failure:
    """An answer that was not the expected one. Times by the event loop's clock; `status` 0: no answer."""

    status: int
    sent_at: float
    ended_at: float


@dataclass
class Answers:
    """What came back. `accepted`: order id -> when it was answered, `numbers`: -> which order of the load it is.

    Latencies in ms, of each order's first answer.
    """

    scheduled: int = 0
    accepted: dict[str, float] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    sold_out: int = 0
    failures: list[Failure] = field(default_factory=list)
    given_up: int = 0
    latency_ms: list[float] = field(default_factory=list)
    longest_s: float = 0.0

    @property
    def by_status(self) -> dict[str, int]:
        counted = Counter(str(failure.status) if failure.status else NO_ANSWER for failure in self.failures)
        return dict(counted.most_common())


class Load:
    """`async with Load(url, shop) as load: await load.run(times)`. `repeats`: how often an order's 503 is repeated."""

    def __init__(self, url: str, shop: Shop, *, repeats: int = 0) -> None:
        self.answers = Answers()
        self.waiting = 0
        self.started_at = 0.0
        self._url, self.shop, self._repeats = url.rstrip("/"), shop, repeats
        self._places = asyncio.Semaphore(MOST_WAITING)
        self._orders: set[asyncio.Task[None]] = set()
        self._clock = asyncio.get_running_loop().time

    async def __aenter__(self) -> Load:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await end_all(self._orders)
        await self._client.close()

    async def run(self, times: Iterable[float]) -> None:
        """Send every order when it is due (seconds from now) and wait for all the answers; cancelled, it drops them."""
        self.started_at = self._clock()
        for number, time in enumerate(times):
            due = self.started_at + time
            if (early := due - self._clock()) > SPIN_S:
                await asyncio.sleep(early)
            await self._places.acquire()
            self.answers.scheduled += 1
            if self._clock() - due > ANSWER_S:
                self._left(due)
                continue
            order = asyncio.create_task(self._order(number, due))
            self._orders.add(order)
            order.add_done_callback(self._orders.discard)
        await asyncio.gather(*self._orders)

    async def ask(self, request: Request) -> tuple[int, bytes, float]:
        """One request: status (0: no answer), body, and the seconds that a 503 asks to wait."""
        try:
            async with self._client.request(
                request.method, self._url + request.path, headers=request.headers, data=request.body
            ) as answer:
                return answer.status, await answer.read(), _seconds(answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b"", 1.0

    def _left(self, due: float) -> None:
        """A customer who waited too long even for a place has left without having sent anything."""
        now = self._clock()
        self._places.release()
        self.answers.failures.append(Failure(0, now, now))
        self.answers.latency_ms.append((now - due) * 1000)
        self.answers.given_up += 1

    async def _order(self, number: int, due: float) -> None:
        self.waiting += 1
        try:
            verdict, pause_s = await self._placed(number, due)
        finally:
            self.waiting -= 1
            self._places.release()
        for _ in range(self._repeats):
            if verdict is not Verdict.FAILED or pause_s is None:
                break
            await asyncio.sleep(pause_s)
            verdict, pause_s = await self._placed(number, None)
        self.answers.given_up += verdict is Verdict.FAILED

    async def _placed(self, number: int, due: float | None) -> tuple[Verdict, float | None]:
        """Send it and judge the answer; with it the seconds after which it may be repeated, if it may."""
        sent_at = self._clock()
        status, body, pause_s = await self.ask(self.shop.order(number))
        now = self._clock()
        verdict, order_id = self.shop.verdict(status, body)
        self.answers.longest_s = max(self.answers.longest_s, now - sent_at)
        if due is not None:
            self.answers.latency_ms.append((now - due) * 1000)
        if order_id is not None and order_id not in self.answers.accepted:
            self.answers.accepted[order_id], self.answers.numbers[order_id] = now, number
        self.answers.sold_out += verdict is Verdict.SOLD_OUT
        if verdict is Verdict.FAILED:
            self.answers.failures.append(Failure(status, sent_at, now))
        return verdict, pause_s if status in (0, 503) else None


def _seconds(retry_after: str | None) -> float:
    with contextlib.suppress(TypeError, ValueError):
        return min(10.0, max(0.0, float(retry_after or 1)))
    return 1.0
