"""The connection budget of PostgreSQL: the formula of Redis, with the user connections of an Azure flexible server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from services.connection_budget import ConnectionBudget

USER_CONNECTIONS = {"B1ms": 35, "B2s": 414, "B2ms": 844, "D2ds_v5": 844, "D4ds_v5": 1703, "PgBouncer": 5000}


@dataclass(frozen=True)
class PostgresBudget(ConnectionBudget):
    """`tier`: a key of USER_CONNECTIONS."""

    service: ClassVar[str] = "PostgreSQL"

    @property
    def tier_clients(self) -> int:
        """The user connections of the tier."""
        return USER_CONNECTIONS[self.tier]
