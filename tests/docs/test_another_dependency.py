"""docs/another-dependency.md: what its examples keep without any server, and the numbers of its budget."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from docs.examples.bounded_calls import BoundedCalls, Call, CallNotSent, CallOutcomeUnknown, PerLoop
from docs.examples.postgres_budget import PostgresBudget
from services.errors import OverBudget
from tests.pages import page, rows_with

BUDGETS = [list(row.values()) for row in rows_with(page("another-dependency.md"), "tier", "scale groups", "limit")]
PATIENT_S = 30.0


class Attempts:
    """Raises each of these in turn, then answers. `runs`: how often it was asked."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.runs = list(errors), 0

    async def __call__(self, call: Call) -> str:
        self.runs += 1
        call.sent = True
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_what_did_not_run_is_repeated_even_if_not_idempotent() -> None:
    attempts = Attempts(CallNotSent("refused"), CallNotSent("refused"))
    assert await BoundedCalls(1, 0).call(attempts, idempotent=False, within_s=PATIENT_S) == "done"
    assert attempts.runs == 3


@pytest.mark.parametrize(("idempotent", "runs"), [(True, 2), (False, 1)])
async def test_what_may_have_run_is_repeated_only_if_it_is_idempotent(idempotent: bool, runs: int) -> None:
    attempts = Attempts(CallOutcomeUnknown("lost"))
    calling = BoundedCalls(1, 0).call(attempts, idempotent=idempotent, within_s=PATIENT_S)
    assert [type(one) for one in await asyncio.gather(calling, return_exceptions=True)] == [
        str if idempotent else CallOutcomeUnknown
    ]
    assert attempts.runs == runs


@pytest.mark.parametrize("error", [ZeroDivisionError("1/0"), TimeoutError("the operation's own")], ids=repr)
async def test_an_error_of_the_operation_passes_and_is_not_repeated(error: Exception) -> None:
    attempts = Attempts(error)
    with pytest.raises(type(error)):
        await BoundedCalls(1, 0).call(attempts, idempotent=True, within_s=PATIENT_S)
    assert attempts.runs == 1


@pytest.mark.parametrize(("sent", "kind"), [(False, CallNotSent), (True, CallOutcomeUnknown)])
async def test_when_the_deadline_is_over_the_error_says_whether_it_may_have_run(
    sent: bool, kind: type[Exception]
) -> None:
    async def endless(call: Call) -> None:
        call.sent = sent
        await asyncio.Event().wait()

    with pytest.raises(kind, match="the deadline is over"):
        await BoundedCalls(1, 0).call(endless, idempotent=True, within_s=0.01)


def test_another_event_loop_gets_a_session_of_its_own() -> None:
    sessions = PerLoop(object)

    async def twice() -> object:
        assert sessions.here() is sessions.here()
        return sessions.here()

    assert asyncio.run(twice()) is not asyncio.run(twice())


async def test_a_forked_child_drops_its_parents_session_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = PerLoop(object)
    parents = sessions.here()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    sessions._loop = None  # a child runs a loop of its own
    assert sessions.here() is not parents


@pytest.mark.parametrize("row", BUDGETS, ids=[" ".join(row[:4]) for row in BUDGETS])
def test_every_number_of_the_budget_is_recomputed(row: list[str]) -> None:
    tier, groups, limit, connections, clients, usable, fits, largest = row
    budget: Any = PostgresBudget(tier, int(limit), scale_groups=int(groups), connections_per_worker=int(connections))
    computed = (budget.clients, budget.usable, budget.clients <= budget.usable, budget.largest_safe_limit)
    assert computed == (int(clients), int(usable), fits == "yes", int(largest))


def test_the_budgets_are_there() -> None:
    assert len(BUDGETS) >= 6


def test_an_exceeded_budget_names_its_own_service() -> None:
    with pytest.raises(OverBudget, match=r"^PostgreSQL connection budget exceeded: B1ms allows 35 clients"):
        PostgresBudget("B1ms", 100, connections_per_worker=2).check()
