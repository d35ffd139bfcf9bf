"""Which promises an outcome breaks: each counter alone is enough, and a sound outcome breaks none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.__main__ import main
from lab.azure.functions_host import HostConfig
from lab.proof.faults import cluster, outage
from lab.proof.faults.command import NAMES, OF_A_CLUSTER, OF_A_SESSION
from lab.proof.faults.faults import FAULTS
from lab.proof.faults.outcome import Outcome, broken_promises
from lab.proof.faults.pace import DEFAULT, FULL, QUICK, Pace
from lab.proof.faults.session import faults as session
from lab.proof.faults.trial import lock_renewal, plan_of
from tests import ROOT

ONLY_503 = frozenset({503})
SOUND = Outcome("kill", "a fault", accepted=100, confirmed=100, client_errors={"503": 7}, recovery_s=1.0, bound_s=3.0)


def test_a_sound_outcome_breaks_no_promise() -> None:
    assert broken_promises(SOUND, ONLY_503) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accepted", 0),
        ("lost", 1),
        ("decided_twice", 1),
        ("oversold", 1),
        ("leaked", 1),
        ("undecided", 1),
        ("dead_lettered", 1),
        ("early_errors", 1),
        ("recovery_s", 3.5),
        ("given_up", 1),
        ("client_errors", {"500": 1}),
        ("client_errors", {"no answer": 1}),
        ("notes", ["a connect storm"]),
    ],
)
def test_each_counter_alone_breaks_a_promise(name: str, value: object) -> None:
    assert len(broken_promises(replace(SOUND, **{name: value}), ONLY_503)) == 1  # type: ignore[arg-type]


def test_the_machine_being_late_excuses_a_late_recovery() -> None:
    assert broken_promises(replace(SOUND, recovery_s=3.5, machine_late_s=1.0), ONLY_503) == []


def test_404_is_expected_only_where_the_fault_says_so() -> None:
    seen = replace(SOUND, client_errors={"404": 3}, given_up=3)
    assert broken_promises(seen, ONLY_503) != []
    assert broken_promises(seen, frozenset({503, 404})) == []


def test_the_command_line_names_every_fault_there_is() -> None:
    assert set(NAMES) == FAULTS.keys() | outage.OUTAGES.keys()
    assert set(OF_A_SESSION) == session.FAULTS.keys()
    assert set(OF_A_CLUSTER) == cluster.FAULTS.keys()


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        (["--only", "bulk"], "bulk"),
        (["--session", "--only", "empty"], "empty"),
        (["--redis-cluster", "3", "--only", "empty"], "empty"),
    ],
)
def test_a_fault_of_the_other_kind_is_refused_by_name(
    words: list[str], unknown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["faults", *words])
    assert f"no such fault: {unknown}; there are: " in capsys.readouterr().err


@pytest.mark.parametrize("pace", [DEFAULT, FULL, QUICK], ids=["default", "full", "quick"])
def test_every_pace_stays_inside_the_connection_budget(pace: Pace) -> None:
    plan_of(pace).check()
    outage.plan_of(pace).check()
    assert pace.scale <= 40


def test_the_renewal_of_locks_is_what_the_host_then_reads() -> None:
    assert HostConfig.load(ROOT, lock_renewal(2.5)).service_bus.max_auto_lock_renewal_s == 2.5
