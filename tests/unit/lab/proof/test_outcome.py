"""The percentiles of what a spike counted."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from lab.proof.outcome import PERCENTILES, percentiles


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400))
def test_a_percentile_is_the_value_of_the_nearest_rank(values: list[float]) -> None:
    ranks = {share: math.ceil(Fraction(str(share)) * len(values) / 100) for share in PERCENTILES}
    assert percentiles(values) == [(share, sorted(values)[rank - 1]) for share, rank in ranks.items()]


def test_without_values_there_are_no_percentiles() -> None:
    assert percentiles([]) == []
