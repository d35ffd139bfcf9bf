"""What a batch at one node of a cluster comes to, where that node leaves in the middle of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from services.redis_session import NotSent, OutcomeUnknown
from services.redis_session.cluster_routing import RoutedCall, send_at


def leaving_node(*outcomes: Any) -> Any:
    """Has left, and answers a batch so; the first failure is raised."""

    async def of_batch(commands: Any, found: list[Any]) -> None:
        found += outcomes
        raise next(outcome for outcome in outcomes if isinstance(outcome, Exception))

    async def client() -> Any:
        return SimpleNamespace(wire=SimpleNamespace(outcomes=of_batch), last_reply_at=0.0)

    session = SimpleNamespace(judge=lambda error, _: error)
    return SimpleNamespace(left=True, client=client, session=session, suspect=lambda: None)


def two_calls() -> list[RoutedCall]:
    return [RoutedCall(1, ("INCR", "a"), {}), RoutedCall(1, ("INCR", "b"), {})]


async def test_what_was_answered_is_not_sent_again_with_what_was_not() -> None:
    calls, refused = two_calls(), NotSent("closed")
    await send_at(leaving_node(1, refused), calls)
    assert [call.outcome for call in calls] == [1, refused]


async def test_what_may_have_run_is_not_sent_again_with_what_did_not() -> None:
    with pytest.raises(NotSent):  # of the batch; the deadline's count knows of the other one
        await send_at(leaving_node(NotSent("withdrawn"), OutcomeUnknown("lost")), two_calls())
