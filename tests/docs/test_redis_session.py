"""docs/redis-session.md: its tables are what docs/proof holds."""

from typing import Any

import pytest

from lab.proof.faults.session.faults import FAULTS
from lab.proof.strategies import OURS, TITLES
from tests.pages import page, proof, row

PAGE = page("redis-session.md")
BENCH, TRIALS = map(proof, ("bench", "faults-session"))
RAN = {outcome["side"] for outcome in TRIALS["outcomes"]}
SHOWN = [side for side in (OURS, "redis-py", "strategy3", "blocking-pool-1", "valkey-glide") if side in RAN]
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


def heading() -> str:
    """Of the faults' table."""
    return row("fault", *(TITLES[side] for side in SHOWN))


def endured(fault: str) -> str:
    """A fault's row: every side under the same deadline, and the same counted of each."""
    ours, *others = (next(o for o in TRIALS["outcomes"] if (o["fault"], o["side"]) == (fault, side)) for side in SHOWN)
    return row(FAULTS[fault].title, *(_numbers(outcome) for outcome in (ours, *others)))


def _numbers(outcome: dict[str, Any]) -> str:
    back = "never" if outcome["recovery_s"] is None else f"{outcome['recovery_s']:.1f}"
    counted = ", ".join(str(outcome[name]) for name in ("failed", "done_twice", "opened", "leaked"))
    return f"{counted}; {outcome['longest_s']:.1f}, {back}"


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
    assert heading() in PAGE
    assert TRIALS["broken"] == {fault: [] for fault in FAULTS}
    assert [endured(fault) for fault in FAULTS if endured(fault) not in PAGE] == []


@pytest.mark.parametrize("counter", ["hung", "lost"])
def test_nothing_hung_and_nothing_confirmed_was_lost_on_any_side(counter: str) -> None:
    assert sum(outcome[counter] for outcome in TRIALS["outcomes"]) == 0
