"""The command line of a spike: what it asks for, and what of it may be shown."""

from __future__ import annotations

import argparse

import pytest

from lab.proof.outcome import Parameters
from lab.proof.results import typed
from lab.proof.spike.command import add_arguments, parameters_of
from lab.proof.spike.local import plan_of
from lab.proof.strategies import STRATEGIES


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_line_is_shown_as_it_was_typed_but_for_where_its_results_went() -> None:
    words = ["spike", "--json", "a.json", "--orders", "5", "--report", "docs/proof/spike"]
    assert typed(words) == "python -m lab spike --orders 5"


def test_by_default_it_is_the_spike_of_2023() -> None:
    expected = Parameters("ours", orders=35_480, users=10_000, instances=200, client_limit=256, seconds=150.0)
    assert parameters_of(parse(), "ours") == expected


def test_every_size_can_be_chosen() -> None:
    sizes = {"orders": 1, "users": 2, "instances": 3, "client-limit": 4, "seconds": 5.5, "stock": 6, "seed": 7}
    options = parse(*(f"--{name}={value}" for name, value in sizes.items()))
    assert parameters_of(options, "redis-py") == Parameters("redis-py", 1, 2, 3, 4, 5.5, stock=6, seed=7)


@pytest.mark.parametrize("option", ["--orders", "--users", "--instances", "--client-limit", "--stock"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", ""])
def test_a_size_below_one_is_refused_by_name(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(f"{option}={value}")
    assert f"argument {option}: {value!r} is not a whole number of 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_can_be_chosen(strategy: str) -> None:
    assert parse("--strategy", strategy).strategy == strategy


@pytest.mark.parametrize(("instances", "groups"), [(200, (100, 100)), (9, (5, 4)), (2, (1, 1)), (1, (1, 1))])
def test_half_of_the_instances_take_messages(instances: int, groups: tuple[int, int]) -> None:
    plan = plan_of(Parameters("ours", 1, 1, instances, 256, 1.0))
    assert (plan.http, plan.fulfilment) == groups
