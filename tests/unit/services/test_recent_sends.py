"""When readiness says that Service Bus takes nothing: every send of 30 s failed, and the last not a minute ago."""

from __future__ import annotations

import pytest

from services.readiness import RecentSends


@pytest.mark.parametrize(
    ("sends", "now", "all_failed"),
    [
        ([], 0, False),
        ([(0, False)], 1, True),
        ([(0, False)], 59, True),
        ([(0, False)], 61, False),
        ([(0, False), (50, False)], 100, True),
        ([(0, True), (10, False)], 29, False),
        ([(0, True), (10, False)], 31, True),
        ([(0, False), (10, True)], 11, False),
        ([(0, False), (10, True)], 45, False),
    ],
)
def test_what_is_known_of_the_sends_at_a_time(sends: list[tuple[float, bool]], now: float, all_failed: bool) -> None:
    times = [0.0]
    recent = RecentSends(lambda: times[-1])
    for at, succeeded in sends:
        times.append(at)
        recent.note(succeeded=succeeded)
    times.append(now)
    assert recent.all_failed is all_failed
