"""A model of a Redis Cluster: nodes that know who serves which slot, each from when it has heard of it.

One store behind all of them, so that what ran and what was lost is known in one place; what a node refuses is its own.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from typing import Any

from redis.crc import key_slot

from tests.simulation.loop import World
from tests.simulation.network import Link
from tests.simulation.redis_model import STATES, TOKEN, RedisModel, Refusal, _Client

PORTS = (6379, 6380, 6381)  # a node that takes over has a port of its own
MOST_TOPOLOGIES = 12  # that one process asks one node for in a second
MOST_MOVED = 8  # times that one call is sent to another node
MOST_AGAIN = 3  # ... by one node, while nobody asks for the topology: its answer may be cut off
BLOCKS, SLOTS = 6, 16384  # slots move by the block
UNHEARD_S = 120.0  # who does not call looks once a minute, and a look may fail
HEARS_S = (0.0, 2.0)  # how long news of a move take to the other nodes
_KEYLESS = frozenset(b"HELLO AUTH QUIT CLIENT PING ECHO TIME MULTI EXEC CLUSTER ASKING".split())


def block_of(slot: int) -> int:
    """The block in which a slot lies."""
    return slot * BLOCKS // SLOTS


def keys_of(command: list[bytes]) -> list[bytes]:
    """The keys of a command."""
    name = command[0].upper()
    if name in _KEYLESS:
        return []
    return command[3 : 3 + int(command[2])] if name.startswith(b"EVAL") else [command[1]]


class ClusterModel(RedisModel):
    """`owners`: the port that serves each block. A block on its way has a target, and keys that are there already."""

    def __init__(self, world: World, seed: str, password: str) -> None:
        super().__init__(world, seed, password)
        self.chance = random.Random(f"{seed}/cluster model")
        self.owners = [PORTS[block * len(PORTS) // BLOCKS] for block in range(BLOCKS)]
        self.views = {port: list(self.owners) for port in PORTS}
        self.targets: dict[int, int] = {}
        self.may_ask = True  # False: nobody is allowed ASKING
        self.carried: set[bytes] = set()
        self._next_port = PORTS[-1] + 1
        self._commands |= {b"CLUSTER": lambda *_: self._slots, b"ASKING": lambda *_: "OK"}
        self._asking: set[_Client] = set()
        self._slots: list[Any] = []
        self.moved: defaultdict[tuple[str, bytes], set[float]] = defaultdict(set)  # process, key of one call -> when
        self._again: defaultdict[str, Any] = defaultdict(lambda: defaultdict(set))
        self._topologies: defaultdict[tuple[str, int], deque[float]] = defaultdict(deque)

    def _route(self, client: _Client, name: bytes, command: list[bytes]) -> None:
        asked = client in self._asking
        if name == b"EXEC" or (client.queued is None and name != b"MULTI"):  # or else of all the transaction
            self._asking.discard(client)
        if name == b"ASKING" and not self.may_ask:
            raise Refusal(STATES["noperm"].format("asking"))
        if name == b"ASKING":
            self._asking.add(client)
        elif name == b"CLUSTER":
            self._asked_for_the_topology(client.link)
            self._slots = self._as_seen_by(client.link.port)
            return
        commands = ([] if client.spoilt and self.is_valkey else client.queued or []) if name == b"EXEC" else [command]
        later = self.is_valkey and client.queued is not None and name != b"EXEC"  # Redis looks at once, and again
        if keys := [key for each in commands for key in keys_of(each)]:
            self._check_place(client.link, keys, asked, later)

    def _check_place(self, link: Link, keys: list[bytes], asked: bool, later: bool) -> None:
        """As Redis does, also for several keys of a slot on its way."""
        port, slot = link.port, key_slot(keys[0])
        block = block_of(slot)
        target, there = self.targets.get(block), sum(key in self.data and key in self.carried for key in keys)
        if port == self.owners[block]:
            here = sum(key in self.data and key not in self.carried for key in keys)
            if target is None or here == len(keys) or later:
                return
            if here:
                raise Refusal("TRYAGAIN Multiple keys request during rehashing of slot")
            raise Refusal(f"ASK {slot} 10.0.0.1:{target}")
        if port == target and asked:
            if len(set(keys)) > 1 and there < len(keys):
                raise Refusal("TRYAGAIN Multiple keys request during rehashing of slot")
            self.carried.update(keys)
            return
        place = self.views[port][block]
        if place not in self.network.dead:  # or else it must come back and ask again
            self._sent_away(link, keys[0])
        raise Refusal(f"MOVED {slot} 10.0.0.1:{place}")

    def _sent_away(self, link: Link, key: bytes) -> None:
        """Who is told that a slot has moved remembers it, and who is told to ask does so."""
        if key.startswith(TOKEN) and self.may_ask:
            who = link.who
            again, told = self._again[who][key, link.port], self.moved[who, key]
            again.add(self.world.now)
            if len(again) > MOST_AGAIN:
                self.world.violate(f"{who} asks one node {len(again)} times for {key.decode()}, which has moved")
            told.add(self.world.now)  # what a network has held up arrives at once, repeated before anything was heard
            if len(told) > MOST_MOVED:
                self.world.violate(f"{who} was told {len(told)} times that {key.decode()} has moved")

    def _asked_for_the_topology(self, link: Link) -> None:
        """However many callers want it, and however often they are redirected."""
        times = self._topologies[link.who, link.port]
        times.append(self.world.now)
        self._again.pop(link.who, None)
        while times[0] < self.world.now - 1:
            times.popleft()
        if len(times) > MOST_TOPOLOGIES:
            self.world.violate(f"{link.who} asks one node for the topology {len(times)} times in a second")

    def _as_seen_by(self, port: int) -> list[Any]:
        edges = [block * SLOTS // BLOCKS + (block * SLOTS % BLOCKS > 0) for block in range(BLOCKS + 1)]
        return [
            [edges[block], edges[block + 1] - 1, [b"10.0.0.1", owner, b"node%d" % owner]]
            for block, owner in enumerate(self.views[port])
        ]

    def _hello(self, client: _Client, words: list[bytes]) -> Any:
        return {**super()._hello(client, words), b"mode": b"cluster"}

    # -- what operators and the weather do ---------------------------------------------------------------------------
    def begin_move(self, block: int, to: int) -> None:
        """From now on the block is on its way to that of the primaries; what is asked for next goes ahead."""
        target = sorted(set(self.owners))[to % len(set(self.owners))]
        if target != self.owners[block] and block not in self.targets:
            self.world.note("redis", f"block {block} begins to move to {target}")
            self.targets[block] = target
            keys = [key for key in self.data if block_of(key_slot(key)) == block]
            self.carried.update(key for key in keys if self.chance.random() < 0.5)

    def end_move(self, block: int) -> None:
        """It has arrived; who was no part of it hears of it later."""
        target = self.targets.pop(block, None)
        if target is not None:
            self.carried = {key for key in self.carried if block_of(key_slot(key)) != block}
            self._serve_from(target, [block])

    def lose_node(self, number: int, lost_s: float, election_s: float) -> None:
        """A primary dies; its replica, which lacks the last writes, takes over after a while. It comes back later."""
        port = sorted(set(self.owners))[number % len(set(self.owners))]
        self.world.note("redis", f"node {port} dies")
        self.network.dead.add(port)
        for link in [link for link in self.network.links if link.port == port]:
            link.reset()
        for block in [block for block, target in self.targets.items() if port in (target, self.owners[block])]:
            self.targets.pop(block)
            self.carried = {key for key in self.carried if block_of(key_slot(key)) != block}
        blocks = [block for block, owner in enumerate(self.owners) if owner == port]
        self._lose(lost_s, of=lambda key: block_of(key_slot(key)) in blocks)
        self.world.later(election_s, self._promote, port, blocks)

    def _promote(self, port: int, blocks: list[int]) -> None:
        new, self._next_port = self._next_port, self._next_port + 1
        self.views[new] = list(self.owners)
        self.world.note("redis", f"node {new} takes over from {port}")
        self._serve_from(new, [block for block in blocks if self.owners[block] == port])
        self.world.later(1.0, self._back, port)
        living = Counter(list(self.network.bound))  # until they hear of it, they may be connected to both
        self.network.bound.update(living)
        self.world.later(UNHEARD_S, self.network.bound.subtract, living)

    def _back(self, port: int) -> None:
        self.views[port] = list(self.owners)
        self.network.dead.discard(port)

    def _serve_from(self, port: int, blocks: list[int]) -> None:
        for block in blocks:
            before, self.owners[block] = self.owners[block], port
            for other in self.views:
                if other in (before, port):
                    self.views[other][block] = port
                else:
                    self.world.later(self.chance.uniform(*HEARS_S), self._hear, other, block)
        self.network.more = max(self.network.more, len(set(self.owners)) - len(PORTS))

    def _hear(self, port: int, block: int) -> None:
        self.views[port][block] = self.owners[block]
