"""The connection budget of a fleet in the lab: the app's own formula, with the limit of the lab's Redis."""

from __future__ import annotations

from dataclasses import dataclass

from services.connection_budget import ConnectionBudget
from services.errors import OverBudget

LAB = "lab"  # the name of the lab's own connections, which are never counted nor killed
LAB_CLIENTS = 4  # most connections that a run of the lab opens to its Redis for itself: books, timeline, fault


@dataclass(frozen=True)
class FleetBudget(ConnectionBudget):
    """`client_limit`: clients that the lab's Redis accepts, in the place of a tier's."""

    client_limit: int = 0

    @property
    def tier_clients(self) -> int:
        """The lab's own limit."""
        return self.client_limit


def check(instances: int, client_limit: int) -> None:
    """Raise OverBudget, with the numbers, if so many instances with one connection each and the lab do not fit."""
    budget = FleetBudget("the lab's Redis", instances, scale_groups=1, client_limit=client_limit)
    enough = max(instances + LAB_CLIENTS, -(-instances * 100 // (100 - budget.headroom_percent)))
    try:
        budget.check()
    except OverBudget as error:
        raise OverBudget(f"{error} In the lab: --client-limit {enough} or more, or fewer --instances.") from None
    if instances + LAB_CLIENTS > client_limit:
        raise OverBudget(
            f"the lab opens up to {LAB_CLIENTS} connections itself: with {instances} instances set the client limit to "
            f"{instances + LAB_CLIENTS} or more"
        )
