"""What the benchmark makes of its rounds."""

from __future__ import annotations

from lab.proof.bench import CONCURRENCY, LINKS, Cell, medians, ratio


def cell(number: int, side: str, calls_per_s: float) -> Cell:
    return Cell(number, "loopback", 100, side, "get64", calls_per_s, cpu_us=1e6 / calls_per_s, p50_ms=1.0, p99_ms=2.0)


ROUNDS = [cell(0, "ours", 100), cell(0, "bare", 200), cell(1, "ours", 90), cell(1, "bare", 100), cell(2, "ours", 8)]
SLOW = [cell(2, "bare", 10)]


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    assert ratio(ROUNDS + SLOW, "bare", 100, "loopback") == 0.8


def test_a_client_that_is_not_installed_has_no_ratio() -> None:
    assert ratio(ROUNDS, "valkey-glide", 100, "loopback") is None


def test_the_medians_are_over_the_rounds_of_each_client_link_and_concurrency() -> None:
    rounds = [
        {
            "round": number,
            "link": link,
            "concurrency": many,
            "side": "ours",
            "load": "get64",
            "calls_per_s": 10.0 * number + many,
        }
        | {"cpu_us": 1.0, "p50_ms": 1.0, "p99_ms": 1.0}
        for number in range(3)
        for link in LINKS
        for many in CONCURRENCY
    ]
    found = medians({"rounds": rounds, "connections": {"ours": 1}})
    assert [one["calls_per_s"] for one in found] == [10.0 + many for _ in LINKS for many in CONCURRENCY]
