"""What a fault may touch while customers order: the stage, the load, the books, and Redis itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.azure.redis_cluster import RedisCluster
from lab.proof.faults.pace import Pace
from lab.proof.faults.redis import Node, Target
from lab.proof.spike.load import Load
from lab.proof.spike.stage import Stage
from lab.tickets.books import Books


@dataclass
class Sale:
    """A drop, its customers and its books."""

    load: Load
    books: Books


@dataclass
class Scene:
    """`sales`: one, or on a cluster one on each shard, in their order. `stock`: of each drop now.

    `completed`: order ids whose message was completed before Redis lost its data. `notes`: what went wrong beside the
    load. `remarks`: what is worth telling.
    """

    stage: Stage
    sales: list[Sale]
    pace: Pace
    stock: int
    completed: frozenset[str] = frozenset()
    replayed: int = 0
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def load(self) -> Load:
        """Of the one sale."""
        (sale,) = self.sales
        return sale.load

    @property
    def books(self) -> Books:
        """Of the one sale."""
        (sale,) = self.sales
        return sale.books

    @property
    def cluster(self) -> RedisCluster:
        """Whose nodes are there to be hurt."""
        assert self.stage.cluster is not None  # noqa: S101 - the faults of a cluster are inflicted on one
        return self.stage.cluster

    @property
    def nodes(self) -> list[Node]:
        servers = self.stage.cluster.nodes if self.stage.cluster else [self.stage.redis]
        return [Node(server) for server in servers if server.alive]

    @property
    def target(self) -> Target:
        """Redis, and what is between it and the instances."""
        assert self.stage.proxy is not None  # noqa: S101 - every trial's plan is `proxied`
        return Target(self.stage.redis, self.stage.proxy)
