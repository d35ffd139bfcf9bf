"""README, docs/the-experiment.md and docs/connections.md say of the ten scenarios what docs/proof holds."""

from __future__ import annotations

from lab.proof.scenarios.report import from_json, rows
from lab.proof.scenarios.result import better_rivals
from lab.proof.scenarios.scenario import SCENARIOS
from lab.proof.strategies import OURS, SIDES
from tests import ROOT
from tests.pages import page, proof, row

FOUND = from_json(proof("scenarios"))
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
PROOF = page("proof/scenarios/README.md")
EXPERIMENT, CONNECTIONS = page("the-experiment.md"), page("connections.md")
BY_NAME = {(one.scenario, one.side): one for one in FOUND}
BETTER = {scenario: better_rivals(FOUND, scenario) for scenario in SCENARIOS}
LEVEL = sum(not better for better in BETTER.values())
POOL, GLIDE = "blocking-pool-1", "valkey-glide"


def of(scenario: str, side: str, measure: str = "p99_ms") -> str:
    """A figure as it is written."""
    return f"{BY_NAME[scenario, side].median[measure]:,.0f}"


def both(scenario: str, measure: str = "p99_ms") -> str:
    """The one line of redis-py against ours."""
    return f"{of(scenario, POOL, measure)} against {of(scenario, OURS, measure)}"


def alone(side: str) -> str:
    """Calls per second of a single caller."""
    cells = [cell for cell in proof("bench")["medians"] if (cell["link"], cell["concurrency"]) == ("loopback", 1)]
    return f"{next(cell['calls_per_s'] for cell in cells if cell['side'] == side):,.0f}"


ENOUGH = (
    "when Redis stops for a second, no call fails (p99 "
    f"{of('stop', POOL)} ms, ours {of('stop', OURS)}). It is not enough for - a hundred calls at once: p99 "
    f"{of('burst', POOL)} ms, ours {of('burst', OURS)}; - a Redis 5 ms away: p99 {of('far', POOL)} ms, ours "
    f"{of('far', OURS)}; - failovers: {of('failover', POOL, 'failed')} failed calls, ours "
    f"{of('failover', OURS, 'failed')}; - changes that must not run twice: {of('cut', POOL, 'twice')} did, ours "
    f"{of('cut', OURS, 'twice')}."
)
LOSSES = (
    f"It loses in three. After a cut valkey-glide is faster (p99 {of('cut', GLIDE)} against {of('cut', OURS)} ms). "
    f"Where scripts keep Redis busy, pools are (a pool of one {both('slow-script')} ms). With more instances than the "
    f"limit allows, those without a connection fail ({of('limit', OURS, 'failed')} of {of('limit', OURS, 'calls')} "
    f"calls). Clients per call take turns ({of('limit', 'per-call', 'failed')} failed), at "
    f"{of('limit', 'per-call', 'per_s')} calls a second against {of('limit', OURS, 'per_s')}."
)


def decisions() -> list[list[str]]:
    """The rows of the decision table."""
    return [
        [
            "a few calls at once, Redis in the same zone, changes that may run twice",
            "`BlockingConnectionPool(max_connections=1)`, one line of redis-py",
            f"one caller: {alone('blocking pool (1)')} calls/s, ours {alone('ours')}; Redis stops for 1 s: p99 "
            f"{of('stop', POOL)} ms, ours {of('stop', OURS)}; nobody fails",
        ],
        [
            "a hundred calls at once, few connections allowed",
            "ours, or valkey-glide",
            f"p99 {of('burst', OURS)} and {of('burst', GLIDE)} ms with one connection; "
            f"pool of one {of('burst', POOL)} ms",
        ],
        [
            "a hundred calls at once, room for eight connections",
            "`BlockingConnectionPool(max_connections=8)` does as well",
            f"p99 {of('burst', 'blocking-pool-8')} ms, ours {of('burst', OURS)}",
        ],
        [
            "Redis 5 ms away, 64 calls at once",
            "ours",
            f"p99 {of('far', OURS)} ms; pool of one {of('far', POOL)}, of eight {of('far', 'blocking-pool-8')}, "
            f"valkey-glide {of('far', GLIDE)}, redis-py's default {of('far', 'redis-py')} with 64 connections",
        ],
        [
            "failovers",
            "ours",
            f"failed {of('failover', OURS, 'failed')} of {of('failover', OURS, 'calls')}; pool of one "
            f"{of('failover', POOL, 'failed')} of {of('failover', POOL, 'calls')}, valkey-glide "
            f"{of('failover', GLIDE, 'failed')} of {of('failover', GLIDE, 'calls')}: they get READONLY errors and "
            "keep the connection",
        ],
        [
            "a change that must not run twice",
            "ours, or valkey-glide",
            f"twice {of('cut', OURS, 'twice')} and {of('cut', GLIDE, 'twice')}; "
            f"pool of one {of('cut', POOL, 'twice')}, redis-py's default "
            f"{of('cut', 'redis-py', 'twice')}, coredis {of('cut', 'coredis', 'twice')}",
        ],
        [
            "more instances than Redis allows clients",
            "none: set a lower scale-out limit",
            f"failed {of('limit', OURS, 'failed')} of {of('limit', OURS, 'calls')}, a client per call "
            f"{of('limit', 'per-call', 'failed')} of {of('limit', 'per-call', 'calls')}",
        ],
    ]


def test_every_side_ran_in_every_scenario() -> None:
    assert BY_NAME.keys() == {(scenario, side) for scenario in SCENARIOS for side in SIDES}


def test_every_scenario_has_its_row_on_the_linked_page() -> None:
    assert [cells for cells in rows(FOUND) if row(*cells) not in PROOF] == []
    assert "(proof/scenarios/README.md)" in EXPERIMENT


def test_how_often_ours_is_best_or_level_is_what_was_measured() -> None:
    shown = f"best or level in {LEVEL} of the {len(SCENARIOS)} scenarios"
    assert shown in README
    assert shown in " ".join(EXPERIMENT.split())


def test_what_is_claimed_and_what_is_lost_has_the_figures_that_were_measured() -> None:
    assert ENOUGH in README
    assert LOSSES in " ".join(EXPERIMENT.split())


def test_every_scenario_that_ours_loses_is_among_the_losses() -> None:
    assert {scenario for scenario, better in BETTER.items() if better} == {"cut", "limit", "slow-script"}


def test_the_decision_table_is_what_was_measured() -> None:
    assert [cells for cells in decisions() if row(*cells) not in CONNECTIONS] == []


def test_ours_confused_and_repeated_nothing_and_never_had_more_than_a_client_per_instance() -> None:
    ours = [one for one in FOUND if one.side == OURS]
    assert [one for one in ours if one.median["wrong"] or one.median["twice"]] == []
    assert [one for one in ours if one.median["peak"] > SCENARIOS[one.scenario].instances] == []
