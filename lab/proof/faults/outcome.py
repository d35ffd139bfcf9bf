"""What one trial counted, and which promises of the app that breaks."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.tickets.books import Audit


@dataclass
class Outcome(Audit):
    """One fault. Times in seconds; orders, if nothing else is said.

    `dead_lettered`: messages there at the end. `leaked`: Redis clients after recovery beyond one per live instance.
    `client_errors`: answers that were not the expected ones, by status. `recovery_s`: how long after the fault's end
    the last request was sent that got one. `errors_per_s`: errors by whole second since the fault began, which
    went on for `lasted_s`. `given_up`: orders that their customer did not repeat, or too often.
    `early_errors`: before the fault. `deliveries`: the fewest of any message during a long outage.
    `machine_late_s`: by how much the machine itself was late.
    """

    name: str
    title: str
    accepted: int = 0
    leaked: int = 0
    client_errors: dict[str, int] = field(default_factory=dict)
    early_errors: int = 0
    given_up: int = 0
    longest_answer_s: float = 0.0
    recovery_s: float = 0.0
    lasted_s: float = 0.0
    errors_per_s: dict[int, int] = field(default_factory=dict)
    bound_s: float = 0.0
    deliveries: int = 0
    replayed: int = 0
    peak_clients: int = 0
    machine_late_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def take(self, audit: Audit) -> None:
        """Add what the books of a drop say; the dead letters are those of all drops."""
        for name in ("confirmed", "refused", "undecided", "lost", "decided_twice", "oversold"):
            setattr(self, name, getattr(self, name) + getattr(audit, name))
        self.dead_lettered = audit.dead_lettered


def broken_promises(outcome: Outcome, statuses: frozenset[int]) -> list[str]:
    """Each promise that does not hold, in words; none if all do. `statuses`: that clients may see during the fault."""
    allowed = {str(status) for status in statuses}
    strange = {status: count for status, count in outcome.client_errors.items() if status not in allowed}
    bound_s = outcome.bound_s + outcome.machine_late_s
    checks = [
        (outcome.accepted == 0, "no order was accepted: the trial proves nothing"),
        (outcome.leaked > 0, f"{outcome.leaked} Redis clients leaked"),
        (bool(strange), f"clients saw {strange}"),
        (outcome.early_errors > 0, f"{outcome.early_errors} errors before the fault"),
        (outcome.recovery_s > bound_s, f"errors until {outcome.recovery_s} s after the fault, {bound_s:.1f} promised"),
        (outcome.given_up > 0 and 404 not in statuses, f"{outcome.given_up} orders were never accepted"),
    ]
    return outcome.broken_books() + [text for is_broken, text in checks if is_broken] + outcome.notes
