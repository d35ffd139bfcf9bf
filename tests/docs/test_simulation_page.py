"""The simulation's page shows what its last recorded runs came to."""

from __future__ import annotations

import json

from tests import ROOT
from tests.pages import page, proof, row


def summary() -> str:
    """The recorded seeds as a row."""
    run = proof("simulation")
    total = run["total"]
    counts = [total[name] for name in ("seeds", "turns", "orders", "calls")]
    hours, faults = total["virtual_s"] // 3600, sum(run["faults"].values())
    return row(*(f"{count:,}" for count in [*counts, hours, faults]), f"{run['wall_s']:,.0f}")


def test_the_page_shows_the_recorded_seeds_and_faults() -> None:
    found = json.loads((ROOT / "docs/proof/simulation/mutants.json").read_text(encoding="utf-8"))
    last = max(fault["found_by_seed"] for fault in found)
    shown = " ".join(page("simulation.md").split())
    assert summary() in shown
    assert f"puts {len(found)} faults back" in shown
    assert f"All were found, the last one by seed {last}" in shown
