"""A deployed app that is over its connection budget says so, with the numbers, and keeps serving."""

from __future__ import annotations

import pytest

from services.connection_budget import ConnectionBudget
from services.settings import load_settings

GOOD = {
    "REDIS_URL": "rediss://cache.example:6380/0",
    "ServiceBusConnection__fullyQualifiedNamespace": "example.servicebus.windows.net",
    "ORDERS_QUEUE": "orders",
    "REDIS_TIER": "Basic_C0",
    "SCALE_OUT_LIMIT": "100",
}


def test_every_input_of_the_formula_is_a_setting() -> None:
    settings = load_settings(
        GOOD
        | {
            "SCALE_GROUPS": "1",
            "ALWAYS_READY_INSTANCES": "3",
            "FUNCTIONS_WORKER_PROCESS_COUNT": "1",
            "REDIS_CONNECTIONS_PER_WORKER": "2",
            "REDIS_HEADROOM_PERCENT": "10",
        }
    )
    assert settings.connection_budget == ConnectionBudget("Basic_C0", 100, 1, 3, 1, 2, 10)


def test_the_fleet_of_2023_within_its_budget_has_no_problem() -> None:
    assert load_settings(GOOD).problems == ()


@pytest.mark.parametrize(
    "change",
    [
        {"REDIS_CONNECTIONS_PER_WORKER": "2"},
        {"SCALE_OUT_LIMIT": "103"},
        {"ALWAYS_READY_INSTANCES": "5"},
        {"FUNCTIONS_WORKER_PROCESS_COUNT": "2"},
        {"REDIS_HEADROOM_PERCENT": "30"},
        {"SCALE_GROUPS": "3"},
    ],
)
def test_over_budget_is_one_problem_with_the_numbers_and_everything_is_still_served(change: dict[str, str]) -> None:
    settings = load_settings(GOOD | change)
    (problem,) = settings.problems
    assert problem.startswith("Redis connection budget exceeded: Basic_C0 allows 256 clients")
    assert settings.redis_url is not None


def test_without_tier_and_limit_as_on_ones_own_machine_nothing_is_checked() -> None:
    local = {name: value for name, value in GOOD.items() if name not in ("REDIS_TIER", "SCALE_OUT_LIMIT")}
    settings = load_settings(local | {"REDIS_CONNECTIONS_PER_WORKER": "100"})
    assert (settings.connection_budget, settings.problems) == (None, ())


@pytest.mark.parametrize("absent", ["REDIS_TIER", "SCALE_OUT_LIMIT"])
def test_one_of_the_two_alone_is_a_problem_that_names_the_other(absent: str) -> None:
    (problem,) = load_settings({name: value for name, value in GOOD.items() if name != absent}).problems
    assert problem.startswith(f"{absent}: is missing")


def test_a_tier_that_the_table_lacks_is_a_problem() -> None:
    problems = load_settings(GOOD | {"REDIS_TIER": "Basic_C9"}).problems
    assert problems == ("REDIS_TIER: is not in services/redis_tiers.json",)
