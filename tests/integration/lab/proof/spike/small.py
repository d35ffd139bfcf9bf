"""A small spike whose steps a test may change: what the app is made of, and what happens in between.

All instances are there from the start, unlike in `lab.proof.spike.run.spike`, so that a second of load is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.proof.fleet.budget import LAB
from lab.proof.fleet.instance import Group
from lab.proof.fleet.scaling import adjust
from lab.proof.spike.load import Load
from lab.proof.spike.run import books_of, closed, open_sale
from lab.proof.spike.stage import Plan, Stage, put_up
from lab.proof.strategies import OURS
from lab.tickets.books import Audit, Books
from lab.tickets.shop import Shop

HTTP = FULFILMENT = 2  # instances
ORDERS = 100
WAIT_S = 60.0
RECOVERY_S = 2.0  # for connections that are on their way out


@dataclass
class Spike:
    """One drop on sale on a stage, and its customers."""

    stage: Stage
    load: Load
    books: Books
    stock: int
    admin: Any = field(repr=False)  # Redis, whose annotations know replies of text only

    @property
    def failed(self) -> int:
        """Answers that were not the expected ones."""
        return len(self.load.answers.failures)

    async def order(self, orders: int = ORDERS, seconds: float = 0.5) -> None:
        """So many orders, evenly over so many seconds; waits for the answers."""
        await self.load.run([seconds * number / orders for number in range(orders)])

    async def fulfil(self) -> None:
        """Start the instances that take messages, as late as a test wants them."""
        await adjust(self.stage.fleet, {Group.FULFILMENT: self.stage.plan.fulfilment})

    async def emptied(self) -> None:
        """Wait until no message is left on the queue, whatever became of them."""
        await self.stage.emptied(WAIT_S)

    async def audit(self) -> Audit:
        """The books, closed once the queue is empty."""
        await self.emptied()
        return await closed(self.stage, self.books, self.stock)

    async def leaked(self) -> int:
        """Clients of Redis beyond one per live instance and the lab's own; those that are closing have a moment."""
        excess, tries = 1, 0
        while excess > 0 and tries < RECOVERY_S / 0.1:
            clients = [client for client in await self.admin.client_list() if client["name"] != LAB]
            excess, tries = len(clients) - len(self.stage.fleet.alive), tries + 1
            await asyncio.sleep(0.1 if excess > 0 else 0)
        return max(0, excess)


@asynccontextmanager
async def small_spike(
    prepare: Callable[[], None] | None = None,
    *,
    strategy: str = OURS,
    stock: int = ORDERS,
    client_limit: int = 100,
    fulfil_at_once: bool = True,
) -> AsyncIterator[Spike]:
    """Put it up, with the drop on sale. `prepare` breaks the app, in each instance."""
    plan = Plan(HTTP, FULFILMENT, client_limit, strategy=strategy, prepare=prepare)
    async with put_up(plan) as stage:
        admin = stage.admin()
        await admin.ping()  # connected before the crowd comes
        await adjust(stage.fleet, {Group.HTTP: HTTP, Group.FULFILMENT: FULFILMENT if fulfil_at_once else 0})
        async with Load(stage.front.url, Shop("drop-1", users=1000)) as load:
            await open_sale(load, stock)
            yield Spike(stage, load, await books_of(stage, load), stock, admin)
