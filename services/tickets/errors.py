"""Why the business refuses what a caller asks for: each is a 409 with a problem type of its own."""

from __future__ import annotations

from services.errors import Conflict


class DropClosed(Conflict):
    """The drop takes no more orders."""

    name = "closed"
    title = "The drop is closed"


class CustomerLimit(Conflict):
    """The order would take its customer above what the drop allows one customer."""

    name = "customer-limit"
    title = "Above the limit per customer"


class SoldOut(Conflict):
    """Not enough tickets are left for the whole quantity; nothing was recorded."""

    name = "sold-out"
    title = "Not enough tickets left"


class BelowConfirmed(Conflict):
    """The new stock is lower than what has been confirmed already; nothing changed."""

    name = "below-confirmed"
    title = "Stock below the confirmed tickets"
