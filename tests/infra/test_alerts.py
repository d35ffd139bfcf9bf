"""An alert at every limit that the design relies on, each at the number that the limit has."""

from typing import Any

import pytest

from tests.infra.deployment import Deployment

REDIS = {"managed-b0": "Microsoft.Cache/redisEnterprise", "classic-c0": "Microsoft.Cache/redis"}


def metric_rules(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Name without the suffix -> properties."""
    found = deployment.of_type("Microsoft.Insights/metricAlerts")
    return {rule["name"].rsplit("-", 1)[0]: rule["properties"] for rule in found}


def criterion(deployment: Deployment, name: str) -> dict[str, Any]:
    """The one criterion of a metric rule."""
    found: dict[str, Any]
    (found,) = metric_rules(deployment)[name]["criteria"]["allOf"]
    return found


def rate_rules(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Name without the suffix -> properties."""
    found = deployment.of_type("Microsoft.Insights/scheduledQueryRules")
    return {rule["name"].rsplit("-", 1)[0]: rule["properties"] for rule in found}


def test_there_is_a_rule_for_each_limit(deployment: Deployment) -> None:
    assert set(metric_rules(deployment)) == {"redis-clients", "redis-load", "redis-memory", "dead-letters", "backlog"}
    assert set(rate_rules(deployment)) == {"answers-5xx", "answers-503"}


def test_every_rule_is_on_and_closes_itself(deployment: Deployment) -> None:
    rules = [*metric_rules(deployment).values(), *rate_rules(deployment).values()]
    assert {(rule["enabled"], rule["autoMitigate"]) for rule in rules} == {(True, True)}


def test_redis_clients_alert_at_what_the_budget_allows(deployment: Deployment) -> None:
    found = criterion(deployment, "redis-clients")
    assert (found["metricName"], found["timeAggregation"]) == ("connectedclients", "Maximum")
    assert (found["operator"], found["threshold"]) == ("GreaterThan", deployment.outputs["REDIS_CLIENTS_ALLOWED"])


@pytest.mark.parametrize("name", REDIS)
def test_the_redis_rules_look_at_the_redis_that_is_deployed(deployments: dict[str, Deployment], name: str) -> None:
    deployment = deployments[name]
    resource = deployment.only(REDIS[name])
    for rule in ("redis-clients", "redis-load", "redis-memory"):
        assert metric_rules(deployment)[rule]["scopes"] == [resource["id"]]
        assert criterion(deployment, rule)["metricNamespace"] == REDIS[name]


@pytest.mark.parametrize(("rule", "metric"), [("redis-load", "serverLoad"), ("redis-memory", "usedmemorypercentage")])
def test_redis_load_and_memory_alert_at_80_percent(deployment: Deployment, rule: str, metric: str) -> None:
    found = criterion(deployment, rule)
    assert (found["metricName"], found["operator"], found["threshold"]) == (metric, "GreaterThan", 80)


@pytest.mark.parametrize(
    ("rule", "metric", "threshold"), [("dead-letters", "DeadletteredMessages", 0), ("backlog", "ActiveMessages", 1000)]
)
def test_the_queue_rules_look_at_the_orders_queue(
    deployment: Deployment, rule: str, metric: str, threshold: int
) -> None:
    found = criterion(deployment, rule)
    assert (found["metricName"], found["threshold"]) == (metric, threshold)
    assert found["dimensions"] == [
        {"name": "EntityName", "operator": "Include", "values": [deployment.app_settings["ORDERS_QUEUE"]]}
    ]


def test_no_metric_rule_is_evaluated_more_often_than_managed_redis_publishes(deployment: Deployment) -> None:
    rules = metric_rules(deployment).values()
    assert {rule["evaluationFrequency"] for rule in rules} == {"PT5M"}
    assert {rule["windowSize"] for rule in rules} == {"PT5M", "PT15M"}


def test_the_rate_of_503_counts_503_and_that_of_5xx_all_others(deployment: Deployment) -> None:
    queries = {name: rule["criteria"]["allOf"][0]["query"] for name, rule in rate_rules(deployment).items()}
    assert 'resultCode == "503"' in queries["answers-503"]
    assert 'resultCode startswith "5" and resultCode != "503"' in queries["answers-5xx"]


def test_a_rate_is_the_percent_column_of_its_query(deployment: Deployment) -> None:
    for rule in rate_rules(deployment).values():
        (found,) = rule["criteria"]["allOf"]
        assert found["metricMeasureColumn"] == "percent"
        assert "| project percent = " in found["query"]


def test_with_an_address_every_rule_mails_it(large: Deployment) -> None:
    group = large.only("Microsoft.Insights/actionGroups")
    assert [one["emailAddress"] for one in group["properties"]["emailReceivers"]] == ["operator@example.com"]
    assert all(rule["actions"] == [{"actionGroupId": group["id"]}] for rule in metric_rules(large).values())
    assert all(rule["actions"] == {"actionGroups": [group["id"]]} for rule in rate_rules(large).values())


def test_without_an_address_there_is_no_action_group(default: Deployment) -> None:
    assert default.of_type("Microsoft.Insights/actionGroups") == []
    assert all(rule["actions"] == [] for rule in metric_rules(default).values())
