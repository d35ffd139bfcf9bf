"""What one trial counted, and which promises of the Redis session that breaks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lab.proof.faults.session.faults import Fault
from lab.proof.faults.session.load import GRACE_S, Call
from lab.proof.faults.session.pace import Pace


@dataclass
class Outcome:
    """One fault on one side. Times in seconds.

    `hung`: calls that had to be ended by the lab. `opened`: connections, attempts included. `leaked`: server clients
    after recovery beyond one. `done_twice`: charges that ran more than once. `lost`: good answers to writes that the
    server knows nothing of. `wrong`: answers that belong to another call. `recovery_s`: None if there was none.
    `machine_late_s`: by how much the machine itself was late.
    """

    fault: str
    side: str
    calls: int = 0
    failed: int = 0
    hung: int = 0
    wrong: int = 0
    longest_s: float = 0.0
    opened: int = 0
    leaked: int = 0
    done_twice: int = 0
    lost: int = 0
    recovery_s: float | None = None
    machine_late_s: float = 0.0
    complaints: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def of_calls(fault: str, side: str, calls: list[Call], hung: list[Call], now: float) -> Outcome:
    """What the calls alone tell."""
    failed = [call for call in calls if call.failure is not None]
    return Outcome(
        fault,
        side,
        calls=len(calls),
        failed=len(failed),
        hung=len(hung),
        wrong=sum(call.wrong for call in calls),
        longest_s=round(max((call.ended or now) - call.began for call in calls), 2),
        failures=dict(Counter((call.failure or "")[:90] for call in failed).most_common(5)),
    )


def broken_promises(outcome: Outcome, fault: Fault, pace: Pace, slack: float = 1.0) -> list[str]:
    """Each promise that does not hold, in words; none if all do. `slack` multiplies the bounds in time."""
    deadline_s = (pace.deadline_s + GRACE_S) * slack + outcome.machine_late_s
    bound_s = fault.bound_s(pace) * slack + outcome.machine_late_s
    recovery_s = outcome.recovery_s
    most = fault.opened(pace) if fault.opened else None
    checks = [
        (outcome.hung > 0, f"{outcome.hung} calls hung"),
        (outcome.wrong > 0, f"{outcome.wrong} wrong answers"),
        (outcome.longest_s > deadline_s, f"a call took {outcome.longest_s} s of {deadline_s:.1f}"),
        (outcome.leaked > 0, f"{outcome.leaked} connections leaked"),
        (outcome.done_twice > 0, f"{outcome.done_twice} done twice"),
        (outcome.lost > 0, f"{outcome.lost} answers untrue"),
        (recovery_s is None or recovery_s > bound_s, f"recovery took {recovery_s} s of {bound_s:.1f}"),
        (most is not None and outcome.opened > most, f"{outcome.opened} connections opened, {most} allowed"),
        (fault.spares and outcome.failed > 0, f"{outcome.failed} calls failed, none may"),
        (outcome.complaints > 0, f"the event loop complained {outcome.complaints} times"),
    ]
    return [text for is_broken, text in checks if is_broken] + outcome.notes
