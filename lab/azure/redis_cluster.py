"""A real Valkey cluster as child processes: primaries that share the slots, and replicas if asked for.

Every node is a `RedisServer`, to be killed, paused and restarted as such. Listens on 127.0.0.1 only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis

from lab.azure.redis_server import HOST, RedisServer, RedisServerError, free_port

SLOTS = 16384
LINKS = 4  # most connections that a node has with another one: two of the bus, replication, MIGRATE
POLL_S = 0.05


class RedisCluster:
    """`primaries` nodes that own the slots in equal ranges, `replicas` more behind each. A context manager.

    `node_timeout_ms`: after that long without an answer a primary counts as failed and its replica takes over.
    `maxclients`: of every node, besides its links with the others, which a node counts as clients. `port`: of the
    first node, 0 for a free one. `binary`, `appendonly`, `options`: of every node, as RedisServer takes them; `each`:
    further options of the node of a number.
    """

    def __init__(
        self,
        primaries: int = 3,
        *,
        replicas: int = 0,
        node_timeout_ms: int = 2000,
        port: int = 0,
        maxclients: int | None = None,
        binary: Path | None = None,
        appendonly: bool = False,
        options: Mapping[str, str] | None = None,
        each: Callable[[int], Mapping[str, str]] = lambda number: {},
        start_deadline_s: float = 30.0,
    ) -> None:
        self._primaries, self._replicas = primaries, replicas
        self._deadline_s, self._running = start_deadline_s, ExitStack()
        links = LINKS * (primaries * (1 + replicas) + 1)
        self._common: dict[str, Any] = {
            "maxclients": maxclients and maxclients + links,
            "binary": binary,
            "appendonly": appendonly,
        }
        self._options = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(node_timeout_ms),
            "cluster-require-full-coverage": "no",
            "cluster-allow-replica-migration": "no",
            "repl-diskless-sync-delay": "0",
            **(options or {}),
        }
        self._port, self._each = port, each
        self.nodes: list[RedisServer] = []  # the primaries first, in the order of their slots, then the replicas

    def __enter__(self) -> RedisCluster:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The first node's URL; one address is enough."""
        return self.nodes[0].url

    def start(self) -> None:
        """Start the nodes and make them a cluster. Raises RedisServerError when it is not one within the deadline."""
        try:
            for number in range(self._primaries):
                self.nodes.append(self._started(self._port if number == 0 else 0))
            for number, node in enumerate(self.nodes):
                first, last = self.slots_of(number)
                with admin(node) as client:
                    client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            for number in range(self._primaries * self._replicas):
                self.add_replica(number % self._primaries)
            self._introduce()
            self._wait_agreed()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._running.close()
        self.nodes = []

    def slots_of(self, number: int) -> tuple[int, int]:
        """The first and the last slot that the cluster's primary of this number was given at its start."""
        return SLOTS * number // self._primaries, SLOTS * (number + 1) // self._primaries - 1

    def add_node(self) -> RedisServer:
        node = self._started(0)
        self.nodes.append(node)
        self._introduce()
        self._wait_agreed()
        return node

    def add_replica(self, of: int) -> RedisServer:
        """One more replica, of the primary of this number."""
        node = self.add_node()
        with admin(node) as client:
            client.execute_command("CLUSTER", "REPLICATE", node_id(self.nodes[of]))
            self._wait(lambda: client.info("replication").get("master_link_status") == "up", "replicate")
        return node

    def remove_node(self, node: RedisServer) -> None:
        """Forget a node that has no slots, and stop it."""
        gone = node_id(node)
        self.nodes.remove(node)
        for other in self.nodes:
            with admin(other) as client:
                client.execute_command("CLUSTER", "FORGET", gone)
        node.stop()

    def open_slot(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Begin to move a slot: it is *migrating* at its source and *importing* at its target."""
        with admin(source) as here, admin(target) as there:
            there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
            here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))

    def move_keys(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move the keys of a slot that `open_slot` has opened."""
        with admin(source) as here:
            while keys := here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                here.execute_command("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)

    def close_slot(self, slot: int, target: RedisServer) -> None:
        """End the move: the slot is the target's, and every node is told so."""
        for node in [target, *(node for node in self.nodes if node is not target)]:
            with admin(node) as client:
                if client.info("replication")["role"] == "master":
                    client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", node_id(target))

    def move_slot(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        self.open_slot(slot, source, target)
        self.move_keys(slot, source, target)
        self.close_slot(slot, target)

    def wait_promoted(self, replica: RedisServer) -> None:
        """Until a replica is a primary."""
        with admin(replica) as client:
            self._wait(lambda: client.info("replication")["role"] == "master", "promote a replica")

    def _started(self, port: int) -> RedisServer:
        own = self._each(len(self.nodes))
        options = {**self._options, **own, "cluster-port": str(free_port())}  # a free port + 10000 is none
        return self._running.enter_context(RedisServer(port=port, options=options, **self._common))

    def _introduce(self) -> None:
        for other in self.nodes:
            with admin(other) as client:
                bus_port = client.config_get("cluster-port")["cluster-port"]
            for node in self.nodes:
                if other is not node:
                    with admin(node) as client:
                        client.execute_command("CLUSTER", "MEET", HOST, other.port, bus_port)

    def _wait_agreed(self) -> None:
        """Until every node knows every other and serves."""
        self._wait(lambda: all(self._agrees(node) for node in self.nodes), "become a cluster")

    def _agrees(self, node: RedisServer) -> bool:
        with admin(node) as client:
            info = client.execute_command("CLUSTER INFO")
            known = client.execute_command("CLUSTER", "NODES")
        met = "handshake" not in str(known) and int(info["cluster_known_nodes"]) == len(self.nodes)
        return met and (info["cluster_state"] == "ok" or len(self.nodes) < self._primaries)

    def _wait(self, condition: Any, what: str) -> None:
        ends = time.monotonic() + self._deadline_s
        while not condition():
            if time.monotonic() > ends:
                raise RedisServerError(f"The cluster did not {what} within {self._deadline_s:g} s.")
            time.sleep(POLL_S)


def admin(node: RedisServer) -> redis.Redis:
    return redis.Redis(host=HOST, port=node.port, decode_responses=True, socket_timeout=5)


def node_id(node: RedisServer) -> str:
    """How the cluster calls a node."""
    with admin(node) as client:
        return str(client.execute_command("CLUSTER", "MYID"))
