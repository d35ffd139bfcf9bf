"""`python -m tests.docs.rewrite`: rewrites the tables of README and docs from docs/proof, after `make prove`.

The words around them are not touched: the tests name the figures in them that no longer hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests import ROOT
from tests.docs import test_redis_session as session
from tests.docs import test_simulation_page as simulation
from tests.docs import test_the_experiment as experiment
from tests.pages import proof, with_rows

EXPERIMENT, README, SESSION = ROOT / "docs/the-experiment.md", ROOT / "README.md", ROOT / "docs/redis-session.md"
SIMULATION = ROOT / "docs/simulation.md"


def rewrite(file: Path, heading: str, rows: Sequence[str], nth: int = 0) -> None:
    """Write the rows into the file's table."""
    file.write_text(with_rows(file.read_text(encoding="utf-8"), heading, rows, nth), encoding="utf-8")


def main() -> None:
    """Write every table."""
    strategies = [experiment.compared(run) for run in proof("compare")["runs"]]
    rewrite(README, "| strategy | failed of", strategies)
    spikes = [experiment.spiked(proof(name)["runs"][0]) for name in ("spike", "spike-stock-5000")]
    rewrite(EXPERIMENT, "| orders | stock", spikes)
    rewrite(SESSION, "| client | connections", [session.measured(side) for side in session.CLIENTS])
    rewrite(SIMULATION, "| seeds | turns", [simulation.summary()])


if __name__ == "__main__":
    main()
