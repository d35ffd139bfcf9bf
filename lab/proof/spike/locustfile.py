"""The spike for Locust: the same orders at the same times with the same checks, by hand or on Azure Load Testing.

Uses nothing but the two files beside it, because Azure Load Testing puts all files into one folder. Each process
sells a drop of its own. Its checks are entries of the statistics, so that a broken one fails the run wherever it runs.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
from gevent.lock import Semaphore
from locust import FastHttpUser, constant, events, task
from locust.runners import WorkerRunner

if TYPE_CHECKING:
    from lab.proof.spike.schedule import Schedule
    from lab.tickets.shop import Request, Shop, Verdict
else:  # Locust puts this file's folder on the path
    from schedule import Schedule
    from shop import Shop, Verdict

ORDERS = int(os.environ.get("SPIKE_ORDERS", "35480"))
SECONDS = float(os.environ.get("SPIKE_SECONDS", "150"))
CUSTOMERS = int(os.environ.get("SPIKE_CUSTOMERS", "10000"))
STOCK = int(os.environ.get("SPIKE_STOCK", "0"))  # 0: enough for everybody
SETTLE_S = float(os.environ.get("SPIKE_SETTLE_SECONDS", "120"))
KEY = os.environ.get("FUNCTIONS_KEY", "")
PAUSE_S = 1.0  # the Retry-After of a queued order
IDLE_S = 0.05


class Sale:
    """One drop: which orders are still to be placed, which to be followed, and what was seen of them."""

    def __init__(self) -> None:
        self.shop = Shop(f"spike-{secrets.token_hex(4)}", CUSTOMERS, may_sell_out=STOCK > 0)
        self.stock = STOCK or ORDERS
        self.due = deque(enumerate(Schedule(ORDERS, SECONDS).times()))
        self.unanswered = ORDERS
        self.to_ask: deque[tuple[float, str]] = deque()  # from when on, order id
        self.again: list[str] = []  # decided; asked for once more, since a final status may not change
        self.asked_again = 0
        self.decided: dict[str, str] = {}
        self.accepted: set[str] = set()
        self.changed: set[str] = set()
        self.opening = Semaphore()
        self.opened_at = 0.0
        self.settle_until = float("inf")
        self.is_closed = False

    def answered(self, order_id: str | None) -> None:
        """An order has its answer; with an id it was accepted."""
        if order_id is not None:
            self.accepted.add(order_id)
            self.to_ask.append((0.0, order_id))
        self.unanswered -= 1
        if not self.unanswered:
            self.settle_until = time.monotonic() + SETTLE_S

    def to_follow(self) -> str | None:
        """An order to ask for now, if there is one."""
        if self.to_ask and self.to_ask[0][0] <= time.monotonic():
            return self.to_ask.popleft()[1]
        if self.unanswered or len(self.decided) < len(self.accepted):
            return None
        return self.again.pop() if self.again else None

    def seen(self, order_id: str, status: str | None) -> None:
        """The status that an answer gave an order; None without an answer."""
        if status is None or (status == "queued" and order_id not in self.decided):
            self.to_ask.append((time.monotonic() + PAUSE_S, order_id))
        elif order_id not in self.decided:
            self.decided[order_id] = status
            self.again.append(order_id)
        else:
            self.asked_again += 1
            if self.decided[order_id] != status:
                self.changed.add(order_id)

    @property
    def is_over(self) -> bool:
        """True once every order is answered and asked for twice, or the time to settle is up."""
        return not self.unanswered and (self.asked_again == len(self.accepted) or time.monotonic() > self.settle_until)

    def checks(self, drop: dict[str, Any]) -> dict[str, int]:
        """By how much each promise was broken; all 0 is what is expected."""
        return {
            "undecided": len(self.accepted) - len(self.decided),
            "decided twice": len(self.changed) + abs(drop["stock"] - drop["remaining"] - drop["confirmed"]),
            "oversold": max(0, drop["confirmed"] - self.stock),
        }


class Customer(FastHttpUser):
    """Takes the next order that is due, places it then, and at the end follows orders to their decision."""

    wait_time = constant(0)
    network_timeout = 30.0  # then a customer has left
    connection_timeout = 30.0

    @task
    def visit(self) -> None:
        """One step, whichever is next."""
        sale = SALES[self.environment]
        if not sale.opened_at:
            self.open(sale)
        elif sale.due:
            self.place(sale, *sale.due.popleft())
        elif (order_id := sale.to_follow()) is not None:
            self.follow(sale, order_id)
        elif sale.is_over and not sale.is_closed:
            self.close(sale)
        else:
            gevent.sleep(IDLE_S)

    def open(self, sale: Sale) -> None:
        """Put the drop on sale; one customer does, the others wait."""
        with sale.opening:
            if sale.opened_at:
                return
            status, body = self.send(sale.shop.put(sale.stock), "put the drop", (200, 201))
            if status not in (200, 201):
                answer = f"it was answered {status}: {body[:300]!r}" if status else f"nothing answers at {self.host}"
                print(f"The drop cannot be put on sale, {answer}")
                self.end()
                gevent.sleep(PAUSE_S)
                return
            sale.opened_at = time.monotonic()

    def place(self, sale: Sale, number: int, due_s: float) -> None:
        """Send an order when it is due. Latency counts from then, in an entry of its own."""
        due = sale.opened_at + due_s
        gevent.sleep(max(0.0, due - time.monotonic()))
        request = sale.shop.order(number)
        with self.ask(request, "place an order") as answer:
            verdict, order_id = sale.shop.verdict(answer.status_code, answer.content or b"")
            if verdict is Verdict.FAILED:
                answer.failure(f"answered {answer.status_code}")
            else:
                answer.success()
        self.count("FROM DUE", "place an order", (time.monotonic() - due) * 1000)
        sale.answered(order_id)

    def follow(self, sale: Sale, order_id: str) -> None:
        status, body = self.send(sale.shop.read(order_id), "follow an order", (200,))
        sale.seen(order_id, json.loads(body)["status"] if status == 200 else None)

    def close(self, sale: Sale) -> None:
        sale.is_closed = True
        status, body = self.send(sale.shop.read(), "read the drop", (200,))
        found = sale.checks(json.loads(body)) if status == 200 else {"unread": 1}
        for name, broken in found.items():
            self.count("CHECK", name, 0.0, AssertionError(f"{broken} orders or tickets") if broken else None)
        print(f"{sale.shop.drop_id}: {len(sale.accepted)} of {ORDERS} orders accepted, {found}")
        self.end()

    def end(self) -> None:
        """End the run, where this process is all there is; among several the run time ends it."""
        if not isinstance(self.environment.runner, WorkerRunner):
            gevent.spawn(self.environment.runner.quit)  # not from here: it waits for this customer to leave

    def send(self, request: Request, name: str, expected: tuple[int, ...]) -> tuple[int, bytes]:
        """Status (0: no answer) and body of a request whose answer must be one of these."""
        with self.ask(request, name) as answer:
            if answer.status_code in expected:
                answer.success()
            else:
                answer.failure(f"answered {answer.status_code}")
            return answer.status_code, answer.content or b""

    def ask(self, request: Request, name: str) -> Any:
        """A request whose answer the caller judges."""
        headers = {**request.headers, "x-functions-key": KEY} if KEY else request.headers
        return self.client.request(
            request.method, request.path, name=name, headers=headers, data=request.body, catch_response=True
        )

    def count(self, kind: str, name: str, ms: float, exception: Exception | None = None) -> None:
        """An entry of the statistics that is not a request."""
        self.environment.events.request.fire(
            request_type=kind, name=name, response_time=ms, response_length=0, exception=exception, context={}
        )


SALES: dict[Any, Sale] = {}


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    """A new drop for every run; a run can be started again from Locust's page."""
    SALES[environment] = Sale()
