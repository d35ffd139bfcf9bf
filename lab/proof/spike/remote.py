"""The same load against an app that runs elsewhere: what HTTP alone can tell of it.

Nothing is known of Redis or the queue there: an order that never changes from `queued` is undecided, not lost.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace

from lab.proof.outcome import Outcome, Parameters
from lab.proof.spike.load import Load
from lab.proof.spike.progress import Progress
from lab.proof.spike.run import SpikeError, answered, elapsed, open_sale
from lab.proof.spike.schedule import Schedule
from lab.tickets.shop import Shop

SETTLE_S = 120.0
READERS = 8  # orders that are followed at a time
PAUSE_S = 1.0  # the Retry-After of a queued order
SAY_EVERY_S = 5.0


@dataclass
class Following:
    """The accepted orders, asked for again and again until each is decided."""

    load: Load
    decided: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    async def until_decided(self, within_s: float) -> None:
        """Ask for every order until it is decided, for at most `within_s` seconds."""
        ends = asyncio.get_running_loop().time() + within_s
        while (left := self.undecided()) and asyncio.get_running_loop().time() < ends:
            await self._ask_for(left)
            await asyncio.sleep(PAUSE_S if self.undecided() else 0)

    async def once_more(self) -> None:
        """Ask for all of them again: a final status may not change."""
        await self._ask_for(list(self.decided))

    def undecided(self) -> list[str]:
        """Accepted, and not seen decided."""
        return [order_id for order_id in self.load.answers.accepted if order_id not in self.decided]

    async def _ask_for(self, order_ids: list[str]) -> None:
        places = asyncio.Semaphore(READERS)

        async def ask(order_id: str) -> None:
            async with places:
                status, body, _ = await self.load.ask(self.load.shop.read(order_id))
            found = json.loads(body)["status"] if status == 200 else "queued"
            if found != "queued" and self.decided.setdefault(order_id, found) != found:
                self.changed.add(order_id)

        await asyncio.gather(*map(ask, order_ids))


async def remote_spike(
    parameters: Parameters, url: str, key: str | None, progress: Progress, settle_s: float = SETTLE_S
) -> Outcome:
    """Run the load against `url`. Raises SpikeError if the drop cannot be put on sale."""
    stock = parameters.orders if parameters.stock is None else parameters.stock
    shop = Shop(f"spike-{secrets.token_hex(4)}", parameters.users, may_sell_out=parameters.stock is not None)
    schedule = Schedule(parameters.orders, parameters.seconds, parameters.seed)
    async with Load(url, shop, key=key) as load:
        await open_sale(load, stock)
        telling = asyncio.create_task(_tell(load, schedule, progress))
        try:
            await load.run(schedule.times())
            following = Following(load)
            await following.until_decided(settle_s)
            took_s = elapsed(load)
            await following.once_more()
        finally:
            telling.cancel()
        status, body, _ = await load.ask(shop.read())
        if status != 200:
            raise SpikeError(f"the drop cannot be read: {status}")
        return _outcome(parameters, stock, load, following, json.loads(body), took_s)


async def _tell(load: Load, schedule: Schedule, progress: Progress) -> None:
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        answers, left = load.answers, max(0.0, schedule.seconds - elapsed(load))
        progress.say(
            f"{answers.scheduled} orders sent, {len(answers.accepted)} accepted, {len(answers.failures)} errors, "
            f"{load.waiting} waiting, {left:.0f} s left"
        )


def _outcome(
    parameters: Parameters, stock: int, load: Load, following: Following, drop: dict[str, int], took_s: float
) -> Outcome:
    statuses = Counter(following.decided.values())
    return replace(
        answered(parameters, stock, load.answers, took_s),
        confirmed=statuses["confirmed"],
        refused=statuses["refused"] + load.answers.sold_out,
        undecided=len(following.undecided()),
        decided_twice=len(following.changed) + abs(drop["stock"] - drop["remaining"] - drop["confirmed"]),
        oversold=max(0, drop["confirmed"] - stock),
    )
