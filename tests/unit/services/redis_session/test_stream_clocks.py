"""The connection's two clocks, at made-up times."""

from __future__ import annotations

from services.redis_session.stream_clocks import StreamClocks


def clocks() -> StreamClocks:
    """Stall after 5, trickle after 30, started at 0."""
    return StreamClocks(stall_s=5, reply_s=30, now=0)


def test_nothing_outstanding_is_never_overdue() -> None:
    assert clocks().overdue(1000, written=10, owed=0, waiting=0) is None


def test_silence_is_overdue_only_after_stall_s() -> None:
    stall = clocks()
    assert stall.overdue(5, written=1, owed=1, waiting=0) is None
    assert "nothing arrived" in (stall.overdue(5.1, written=1, owed=1, waiting=0) or "")


def test_what_can_not_be_written_stalls_too() -> None:
    assert clocks().overdue(5.1, written=1, owed=0, waiting=1)


def test_progress_holds_the_stall_clock_but_not_the_trickle_clock() -> None:
    trickle = clocks()
    for now in range(31):
        trickle.progress_at = now
        assert trickle.overdue(now, written=1, owed=1, waiting=0) is None
    trickle.progress_at = 31
    assert "owed for more than 30 s" in (trickle.overdue(31, written=1, owed=1, waiting=0) or "")


def test_a_busy_connection_whose_oldest_reply_is_young_is_not_overdue() -> None:
    busy = clocks()
    for now in range(1000):
        busy.progress_at = now
        assert busy.overdue(now, written=100 * now + 100, owed=90, waiting=0) is None


def test_a_large_command_being_taken_counts_as_arrival() -> None:
    bulk = clocks()
    bulk.bulk_begun(written=1, end=1000)
    bulk.note_drain(4, answered=0, handed=500, unsent=lambda: 400)
    assert bulk.progress_at == 4
    bulk.note_drain(8, answered=0, handed=500, unsent=lambda: 400)
    assert bulk.progress_at == 4


def test_once_the_oldest_large_command_has_arrived_what_follows_it_does_not_count_as_arrival() -> None:
    bulk = clocks()
    bulk.bulk_begun(written=1, end=1000)
    bulk.bulk_begun(written=2, end=9000)
    bulk.note_drain(1, answered=0, handed=1000, unsent=lambda: 0)
    bulk.note_drain(2, answered=0, handed=5000, unsent=lambda: 0)
    assert bulk.progress_at == 1


def test_bytes_of_small_commands_are_never_asked_for() -> None:
    def unsent() -> int:
        raise AssertionError("asked")

    clocks().note_drain(1, answered=0, handed=1000, unsent=unsent)
