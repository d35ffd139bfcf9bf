"""docs/redis-session.md: its tables are what docs/proof holds."""

from typing import Any

import pytest

from lab.proof.faults.session.faults import FAULTS
from lab.proof.strategies import SIDES
from tests.pages import page, proof, row

PAGE = page("redis-session.md")
BENCH, TRIALS = map(proof, ("bench", "faults-session"))
CLIENTS = {
    "ours": "one multiplexed connection",
    "default pool": "shared redis-py client, defaults",
    "strategy 3": "2023's strategy 3 (PING each), redis-py's pool",
    "blocking pool (1)": "BlockingConnectionPool(1)",
    "blocking pool (2)": "BlockingConnectionPool(2)",
    "blocking pool (8)": "BlockingConnectionPool(8)",
    "valkey-glide": "valkey-glide (Rust core)",
    "coredis": "coredis",
    "bare": "bare protocol + hiredis, no safety: the limit",
}


def median(side: str, link: str, concurrency: int, what: str = "calls_per_s") -> str:
    """Over the rounds."""
    cell = next(c for c in BENCH["medians"] if (c["side"], c["link"], c["concurrency"]) == (side, link, concurrency))
    return f"{cell[what]:,.0f}"


def measured(side: str) -> str:
    """A client's row: one process."""
    name = f"**{CLIENTS[side]}**" if side == "ours" else CLIENTS[side]
    alone, together, away = median(side, "loopback", 1), median(side, "loopback", 100), median(side, "1ms", 100)
    cpu = f"{median(side, 'loopback', 100, 'cpu_us')} us"
    return row(name, BENCH["connections"][side], alone, together, cpu, away)


def endured(fault: str) -> str:
    """A fault's row."""
    ours, *others = (next(o for o in TRIALS["outcomes"] if (o["fault"], o["side"]) == (fault, side)) for side in SIDES)
    told = [f"{ours['failed']} / {ours['calls']}, {_numbers(ours)}, {ours['recovery_s']:.2f}"]
    return row(FAULTS[fault].title, *told, *(f"{other['failed']}, {_numbers(other)}" for other in others))


def _numbers(outcome: dict[str, Any]) -> str:
    return f"{outcome['longest_s']:.1f}, {outcome['opened']}, {outcome['done_twice']}"


def test_every_client_has_its_row() -> None:
    assert BENCH["connections"].keys() == CLIENTS.keys()
    assert [measured(side) for side in CLIENTS if measured(side) not in PAGE] == []


def test_the_ratios_are_those_of_the_run() -> None:
    found = BENCH["ratios"]
    told = (
        f"{found['vs_default_c100']:.1f} times the calls of redis-py's default pool",
        f"1/{1 / (found['cpu_vs_default_c100'] or 1):.0f} of its CPU per call",
        f"{found['vs_default_c100_1ms']:.1f} times with the server 1 ms away",
        f"{found['vs_glide_c100']:.1f} times valkey-glide",
        f"{found['vs_bare_c100']:.2f} of the bare limit",
    )
    assert [text for text in told if text not in " ".join(PAGE.split())] == []


def test_every_fault_has_its_row_and_broke_nothing_of_ours() -> None:
    assert TRIALS["broken"] == {fault: [] for fault in FAULTS}
    assert [endured(fault) for fault in FAULTS if endured(fault) not in PAGE] == []


@pytest.mark.parametrize("counter", ["hung", "lost", "wrong"])
def test_nothing_hung_and_no_answer_was_untrue_on_any_side(counter: str) -> None:
    assert sum(outcome[counter] for outcome in TRIALS["outcomes"]) == 0
