"""The books of a drop: what became of every accepted order, read from Redis and the queue themselves, past the app.

    lost           accepted, and neither seen decided, nor on the queue, nor among the dead letters, nor (where Redis
                   lost its data on purpose) completed before
    decided_twice  tickets by which the drop's counters differ from the sum over its orders, and orders whose final
                   status was seen to change
    oversold       confirmed beyond the stock

Each can be wrong: tests break the app on purpose and see each of them rise. The books only read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis, RedisCluster

CHUNK = 500
# Orders and counters of one moment: read one after the other, a decision in between would look like one too many.
AT_ONCE = "return {redis.call('HGETALL', KEYS[1]), redis.call('HMGET', KEYS[2], 'confirmed', 'refused')}"
FINAL = ("confirmed", "refused")


@dataclass(kw_only=True)
class Audit:
    """The books, closed, in orders of one ticket each. `undecided`: still on the queue."""

    confirmed: int = 0
    refused: int = 0
    lost: int = 0
    decided_twice: int = 0
    oversold: int = 0
    dead_lettered: int = 0
    undecided: int = 0

    def broken_books(self) -> list[str]:
        """Each promise that an order does not keep, in words."""
        found = {
            "accepted orders are lost": self.lost,
            "accepted orders are still undecided": self.undecided,
            "decided twice": self.decided_twice,
            "sold beyond the stock": self.oversold,
            "messages were given up": self.dead_lettered,
        }
        return [f"{count} {words}" for words, count in found.items() if count]


@dataclass
class Books:
    """`look` at the undecided orders now and then, `close` at the end. `accepted` may grow meanwhile."""

    redis: Redis | RedisCluster
    drop_id: str
    accepted: Collection[str]
    decided: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    decision_ms: list[float] = field(default_factory=list)

    @property
    def undecided(self) -> list[str]:
        """The accepted orders that nobody has seen decided."""
        return [order_id for order_id in self.accepted if order_id not in self.decided]

    async def look(self) -> None:
        """Read every accepted order that was undecided so far."""
        for ids in chunks(self.undecided):
            for order_id, record in zip(ids, await self.redis.hmget(self._key("orders"), ids), strict=True):
                self._note(order_id, record)

    async def close(
        self, stock: int, queued: Collection[str], dead: Collection[str], completed: Collection[str]
    ) -> Audit:
        """Read everything once more and draw the balance. The last three are order ids."""
        reply: Any = await self.redis.eval(AT_ONCE, 2, self._key("orders"), self._key("meta"))
        orders, counters = reply
        tickets = dict.fromkeys(FINAL, 0)
        for raw_id, record in zip(orders[::2], orders[1::2], strict=True):
            content = self._note(raw_id.decode(), record)
            if content["status"] in FINAL:
                tickets[content["status"]] += content["quantity"]
        confirmed, refused = tickets.values()
        known_confirmed, known_refused = (int(value or 0) for value in counters)
        statuses = list(self.decided.values())
        missing = set(self.undecided) - set(queued) - set(dead) - set(completed)
        return Audit(
            confirmed=statuses.count("confirmed"),
            refused=statuses.count("refused"),
            lost=len(missing),
            decided_twice=abs(known_confirmed - confirmed) + abs(known_refused - refused) + len(self.changed),
            oversold=max(0, known_confirmed - stock, confirmed - stock),
            dead_lettered=len(dead),
            undecided=len(set(self.undecided) & set(queued)),
        )

    def _note(self, order_id: str, record: Any) -> dict[str, Any]:
        content: dict[str, Any] = {} if record is None else json.loads(record)
        status = content.get("status")
        before = self.decided.get(order_id)
        if before is not None and record is not None and status != before:
            self.changed.add(order_id)
        if status in FINAL and before is None:
            self.decided[order_id] = status
            self.decision_ms.append(content["decided_at"] - content["placed_at"])
        return content

    def _key(self, part: str) -> str:
        return f"{{drop:{self.drop_id}}}:{part}"


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """In lists short enough that Redis serves others in between."""
    left = list(ids)
    for start in range(0, len(left), CHUNK):
        yield left[start : start + CHUNK]
