"""What a spike counted, as JSON and back, and its percentiles."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.proof.outcome import PERCENTILES, Moment, Outcome, Parameters, percentiles

OUTCOME = Outcome(
    strategy="ours",
    instances=8,
    stock=50,
    orders=300,
    accepted=299,
    confirmed=50,
    refused=249,
    failed=1,
    failures={"503": 1},
    latency_ms=[(50, 1.5), (99.9, 7.25)],
    decision_ms=[(100, 12.0)],
    cpu_s={"Redis": 0.1},
    timeline=[Moment(0.5, None, 0, 2, 1, 30, 29, 0, 4, 25), Moment(1.0, 9, 0, 8, 0, 60, 60, 0, 0, 60)],
    parameters=Parameters("ours", 300, 100, 8, 12, 5.0, stock=50),
    machine={"cores": "2"},
)


def test_an_outcome_survives_a_file() -> None:
    assert Outcome.from_json(json.loads(json.dumps(OUTCOME.to_json()))) == OUTCOME


def test_an_outcome_of_nothing_survives_a_file() -> None:
    nothing = Outcome("ours", instances=0, stock=0)
    assert Outcome.from_json(json.loads(json.dumps(nothing.to_json()))) == nothing


@pytest.mark.parametrize("document", [{}, {**OUTCOME.to_json(), "speed": 1}, {"timeline": [{"t": 1}]}])
def test_an_invalid_outcome_is_a_type_error(document: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Outcome.from_json(document)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400))
def test_a_percentile_is_the_value_of_the_nearest_rank(values: list[float]) -> None:
    ranks = {share: math.ceil(Fraction(str(share)) * len(values) / 100) for share in PERCENTILES}
    assert percentiles(values) == [(share, sorted(values)[rank - 1]) for share, rank in ranks.items()]


def test_without_values_there_are_no_percentiles() -> None:
    assert percentiles([]) == []
