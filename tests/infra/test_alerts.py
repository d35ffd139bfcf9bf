"""An alert at every limit that the design relies on, each at the number that the limit has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.deployment import Deployment

REDIS = {"managed-b0": "Microsoft.Cache/redisEnterprise", "classic-c0": "Microsoft.Cache/redis"}
REDIS_RULES = ("redis-clients", "redis-clients-unexpected", "redis-load", "redis-memory")
METRICS = {*REDIS_RULES, "dead-letters", "backlog"}
GONE = "not-ready"


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
    tested = bool(deployment.of_type("Microsoft.Insights/webtests"))
    assert set(metric_rules(deployment)) == METRICS | ({GONE} if tested else set())
    assert set(rate_rules(deployment)) == {"answers-5xx", "answers-503"}


def test_every_rule_is_on_and_closes_itself(deployment: Deployment) -> None:
    rules = [*metric_rules(deployment).values(), *rate_rules(deployment).values()]
    assert {(rule["enabled"], rule["autoMitigate"]) for rule in rules} == {(True, True)}


def test_redis_clients_alert_at_what_the_budget_allows(deployment: Deployment) -> None:
    found = criterion(deployment, "redis-clients")
    assert (found["metricName"], found["timeAggregation"]) == ("connectedclients", "Maximum")
    assert (found["operator"], found["threshold"]) == ("GreaterThan", deployment.outputs["REDIS_CLIENTS_ALLOWED"])


def test_clients_that_full_scale_out_does_not_explain_alert_long_before_the_tier_is_full(
    deployment: Deployment, default: Deployment
) -> None:
    found = criterion(deployment, "redis-clients-unexpected")
    assert (found["metricName"], found["timeAggregation"]) == ("connectedclients", "Maximum")
    assert found["operator"] == "GreaterThan"
    assert found["threshold"] == deployment.outputs["REDIS_CLIENTS_AT_FULL_SCALE"]
    assert criterion(default, "redis-clients-unexpected")["threshold"] == 200


@pytest.mark.parametrize("name", REDIS)
def test_the_redis_rules_look_at_the_redis_that_is_deployed(deployments: dict[str, Deployment], name: str) -> None:
    deployment = deployments[name]
    resource = deployment.only(REDIS[name])
    for rule in REDIS_RULES:
        assert metric_rules(deployment)[rule]["scopes"] == [resource["id"]]
        assert criterion(deployment, rule)["metricNamespace"] == REDIS[name]


def test_redis_load_and_memory_alert_at_80_percent(deployment: Deployment) -> None:
    for rule in ("redis-load", "redis-memory"):
        found = criterion(deployment, rule)
        assert (found["operator"], found["threshold"]) == ("GreaterThan", 80)


def test_the_load_of_a_managed_redis_is_that_of_its_processor(default: Deployment, classic: Deployment) -> None:
    """There serverLoad can be wrong."""
    assert criterion(default, "redis-load")["metricName"] == "percentProcessorTime"
    assert criterion(classic, "redis-load")["metricName"] == "serverLoad"


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


def test_a_rate_rule_can_be_made_before_there_is_a_table_to_ask(deployment: Deployment) -> None:
    assert all(rule["skipQueryValidation"] for rule in rate_rules(deployment).values())


def test_an_app_that_is_gone_is_noticed_by_a_readiness_check(default: Deployment) -> None:
    """An import error is a 404 everywhere: no exception, no 5xx, and no metric that moves."""
    test = default.only("Microsoft.Insights/webtests")
    properties = test["properties"]
    wanted = properties["Request"]["RequestUrl"]
    assert wanted.startswith("[format('{0}/api/health/ready'")
    assert default.only("Microsoft.Web/sites")["id"] in wanted
    assert (properties["Enabled"], properties["ValidationRules"]["ExpectedHttpStatusCode"]) == (True, 200)
    rule = metric_rules(default)[GONE]
    assert (rule["criteria"]["webTestId"], rule["criteria"]["failedLocationCount"]) == (test["id"], 2)
    assert test["id"] in rule["scopes"]
    assert len(properties["Locations"]) == 3


def test_the_window_of_the_rule_holds_one_question_from_each_place(default: Deployment) -> None:
    frequency = default.only("Microsoft.Insights/webtests")["properties"]["Frequency"]
    assert metric_rules(default)[GONE]["windowSize"] == f"PT{frequency // 60}M"


def test_the_question_can_be_left_out(deployments: dict[str, Deployment]) -> None:
    assert deployments["private-b0"].of_type("Microsoft.Insights/webtests") == []
