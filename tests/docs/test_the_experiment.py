"""README and docs/the-experiment.md show what docs/proof holds: each row of their tables is computed from there."""

from __future__ import annotations

from typing import Any

import pytest

from lab.proof.faults.command import NAMES
from lab.proof.fleet.budget import LAB_CLIENTS
from lab.proof.report import tables
from lab.proof.strategies import OURS, STRATEGIES, TITLES
from tests import ROOT
from tests.pages import page, proof, row, with_rows

PROOF = ROOT / "docs/proof"
README = (ROOT / "README.md").read_text()
PAGE = page("the-experiment.md")
OF_REDIS = NAMES[: NAMES.index("script-flush") + 1]


def compared(run: dict[str, Any]) -> str:
    """A strategy's row."""
    return row(
        TITLES[run["strategy"]],
        f"{run['failed']:,}",
        f"{run['undecided']:,}",
        run["peak_clients"],
        f"{run['refused_connections']:,}",
        f"{run['p50_ms']:,.0f} / {run['p99_ms']:,.0f}",
        bold=run["strategy"] == OURS,
    )


def spiked(run: dict[str, Any]) -> str:
    """A spike's row."""
    return row(
        f"{run['orders']:,}",
        f"{run['stock']:,}",
        f"{run['accepted']:,}",
        f"{run['confirmed']:,}",
        f"{run['refused']:,}",
        f"{run['seconds']:.0f}",
        f"{run['peak_clients']} / {run['client_limit']}",
        f"{run['p50_ms']:,.0f} / {run['p99_ms']:,.0f}",
    )


def test_every_strategy_has_its_row_in_the_readme() -> None:
    runs = proof("compare")["runs"]
    assert {run["strategy"] for run in runs} == STRATEGIES.keys()
    for run in runs:
        assert compared(run) in README


@pytest.mark.parametrize("name", ["spike", "spike-stock-5000"])
def test_every_spike_has_its_row_and_kept_its_promises(name: str) -> None:
    (run,) = proof(name)["runs"]
    assert spiked(run) in PAGE
    assert (run["failed"], run["lost"], run["decided_twice"], run["oversold"], run["undecided"]) == (0, 0, 0, 0, 0)
    assert run["accepted"] + run["refused"] >= run["orders"]
    assert run["peak_clients"] <= run["instances"] + LAB_CLIENTS


def test_the_page_says_where_the_cpu_goes() -> None:
    (run,) = proof("spike")["runs"]
    spent = run["cpu_s"]
    shown = [
        f"{sum(spent.values()):.0f} CPU seconds",
        f"fulfilment instances ({spent['fulfilment instances']:.0f})",
        f"HTTP instances ({spent['http instances']:.0f})",
        f"load generator, proxy and bookkeeping ({spent['load generator, proxy and bookkeeping']:.0f})",
        f"Service Bus ({spent['Service Bus']:.0f}) and Redis ({spent['Redis']:.0f})",
        f"{1000 * sum(spent.values()) / run['orders']:.1f} ms per order",
    ]
    assert [text for text in shown if text not in " ".join(PAGE.split())] == []


LAST_ERROR = {
    "faults": "The last error came at most {:.1f} s after the fault had ended",
    "faults-full": "the last error came up to {:.1f} s after",
}


@pytest.mark.parametrize("name", LAST_ERROR)
def test_every_fault_is_on_the_linked_page_and_broke_nothing(name: str) -> None:
    faults = proof(name)["faults"]
    assert [fault["name"] for fault in faults] == list(NAMES)
    assert tables.faults(faults) in (PROOF / name / "README.md").read_text(encoding="utf-8")
    assert f"(proof/{name}/README.md)" in PAGE
    for fault in faults:
        broken = [fault[counter] for counter in ("lost", "decided_twice", "oversold", "leaked")]
        assert (broken, fault["broken"]) == ([0, 0, 0, 0], [])
    last_error = LAST_ERROR[name].format(max(fault["recovery_s"] for fault in faults))
    assert last_error in " ".join(PAGE.split())


def test_the_longest_answers_while_redis_fails_stand_where_people_ask() -> None:
    here, full = (
        max(fault["longest_answer_s"] for fault in proof(name)["faults"] if fault["name"] in OF_REDIS)
        for name in ("faults", "faults-full")
    )
    shown = " ".join(page("guarantees.md").split())
    assert f"no answer took longer than {here:.1f} s; at full size, 200 instances on two cores, {full:.1f} s" in shown


def test_the_pictures_and_pages_that_are_linked_are_there() -> None:
    for path in ("compare/strategies.svg", "compare/README.md", "spike/README.md", "spike/clients.svg"):
        assert (PROOF / path).stat().st_size > 0


def test_what_is_committed_stays_small() -> None:
    """Pictures under a megabyte, numbers and pages under 2,000 lines; raw series are written to build/."""
    assert {path.suffix for path in PROOF.rglob("*") if path.is_file()} == {".svg", ".json", ".md"}
    assert sum(path.stat().st_size for path in PROOF.rglob("*.svg")) < 1_000_000
    texts = [*PROOF.rglob("*.json"), *PROOF.rglob("*.md")]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in texts) < 2_000


def test_the_command_that_rewrites_the_tables_touches_one_table_alone() -> None:
    """`python -m tests.docs.rewrite` after `make prove`."""
    text = "| a | b |\n|---|---|\n| old | 1 |\n\nwords\n| a | b |\n|---|---|\n| kept | 2 |\n"
    assert with_rows(text, "| a |", ["| new | 3 |", "| more | 4 |"]) == text.replace(
        "| old | 1 |\n", "| new | 3 |\n| more | 4 |\n"
    )
