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


@pytest.mark.parametrize(
    ("rule", "limit"),
    [("redis-clients", "REDIS_CLIENTS_ALLOWED"), ("redis-clients-unexpected", "REDIS_CLIENTS_AT_FULL_SCALE")],
)
def test_redis_clients_alert_at_what_the_budget_allows_and_at_what_full_scale_out_explains(
    deployment: Deployment, rule: str, limit: str
) -> None:
    found = criterion(deployment, rule)
    assert (found["metricName"], found["timeAggregation"]) == ("connectedclients", "Maximum")
    assert (found["operator"], found["threshold"]) == ("GreaterThan", deployment.outputs[limit])


@pytest.mark.parametrize("name", REDIS)
def test_the_redis_rules_look_at_the_redis_that_is_deployed(deployments: dict[str, Deployment], name: str) -> None:
    deployment = deployments[name]
    resource = deployment.only(REDIS[name])
    for rule in REDIS_RULES:
        assert metric_rules(deployment)[rule]["scopes"] == [resource["id"]]
        assert criterion(deployment, rule)["metricNamespace"] == REDIS[name]


def test_with_an_address_every_rule_mails_it(large: Deployment) -> None:
    group = large.only("Microsoft.Insights/actionGroups")
    assert [one["emailAddress"] for one in group["properties"]["emailReceivers"]] == ["operator@example.com"]
    assert all(rule["actions"] == [{"actionGroupId": group["id"]}] for rule in metric_rules(large).values())
    assert all(rule["actions"] == {"actionGroups": [group["id"]]} for rule in rate_rules(large).values())


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
