"""What is public and what is not: nothing in between, and whatever is closed has an endpoint and a name inside."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest

from tests.infra.deployment import Deployment

STORAGE, BUS = "Microsoft.Storage/storageAccounts", "Microsoft.ServiceBus/namespaces"
MANAGED, CLASSIC = "Microsoft.Cache/redisEnterprise", "Microsoft.Cache/redis"
STORAGE_SUFFIX = "core.windows.net"
# learn.microsoft.com/azure/private-link/private-endpoint-dns
ZONES = {
    (STORAGE, "blob"): "privatelink.blob.core.windows.net",
    (STORAGE, "table"): "privatelink.table.core.windows.net",
    (MANAGED, "redisEnterprise"): "privatelink.redis.azure.net",
    (CLASSIC, "redisCache"): "privatelink.redis.cache.windows.net",
    (BUS, "namespace"): "privatelink.servicebus.windows.net",
}
PRIVATE = {
    "managed-b0": set(),
    "private-b0": {(STORAGE, "blob"), (STORAGE, "table"), (MANAGED, "redisEnterprise")},
    "private-all-c0": {(STORAGE, "blob"), (STORAGE, "table"), (CLASSIC, "redisCache"), (BUS, "namespace")},
}


def kind_of(resource_id: str) -> str:
    """Microsoft.Cache/redis of /subscriptions/.../providers/Microsoft.Cache/redis/NAME."""
    return "/".join(resource_id.split("/providers/")[1].split("/")[:2])


def endpoints(deployment: Deployment) -> dict[tuple[str, str], dict[str, Any]]:
    """(what it leads to, which part of it) -> private endpoint."""
    found = {}
    for endpoint in deployment.of_type("Microsoft.Network/privateEndpoints"):
        (link,) = endpoint["properties"]["privateLinkServiceConnections"]
        (group,) = link["properties"]["groupIds"]
        found[kind_of(link["properties"]["privateLinkServiceId"]), group] = endpoint
    return found


def closed(deployment: Deployment) -> set[str]:
    """The kinds of resource that let nobody in from outside."""
    return {
        resource["type"]
        for resource in deployment.resources
        if resource.get("properties", {}).get("publicNetworkAccess") == "Disabled"
    }


def subnets(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Name -> properties."""
    network = deployment.only("Microsoft.Network/virtualNetworks")["properties"]
    return {subnet["name"]: subnet["properties"] for subnet in network["subnets"]}


@pytest.mark.parametrize("name", PRIVATE)
def test_what_is_closed_is_what_has_an_endpoint(deployments: dict[str, Deployment], name: str) -> None:
    found = endpoints(deployments[name])
    assert set(found) == PRIVATE[name]
    assert closed(deployments[name]) == {kind for kind, _ in found}


@pytest.mark.parametrize("name", PRIVATE)
def test_an_endpoint_writes_its_address_into_the_zone_that_the_service_is_looked_up_in(
    deployments: dict[str, Deployment], name: str
) -> None:
    deployment = deployments[name]
    groups = deployment.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    zone_of = {
        group["name"].split("/")[0]: group["properties"]["privateDnsZoneConfigs"][0]["properties"]["privateDnsZoneId"]
        for group in groups
    }
    written = {key: _zone(zone_of[endpoint["name"]]) for key, endpoint in endpoints(deployment).items()}
    assert written == {key: ZONES[key] for key in written}


@pytest.mark.parametrize("name", ["private-b0", "private-all-c0"])
def test_every_zone_is_linked_to_the_network(deployments: dict[str, Deployment], name: str) -> None:
    deployment = deployments[name]
    zones = {_zone(zone["name"]) for zone in deployment.of_type("Microsoft.Network/privateDnsZones")}
    links = deployment.of_type("Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    network = deployment.only("Microsoft.Network/virtualNetworks")["id"]
    assert {_zone(link["id"]) for link in links} == zones
    assert {link["properties"]["virtualNetwork"]["id"] for link in links} == {network}


@pytest.mark.parametrize("name", ["private-b0", "private-all-c0"])
def test_the_app_is_in_the_subnet_that_is_delegated_to_flex(deployments: dict[str, Deployment], name: str) -> None:
    deployment = deployments[name]
    subnet = deployment.only("Microsoft.Web/sites")["properties"]["virtualNetworkSubnetId"]
    assert subnet == deployment.only("Microsoft.Network/virtualNetworks")["id"] + "/subnets/app"
    (delegation,) = subnets(deployment)["app"]["delegations"]
    assert delegation["properties"]["serviceName"] == "Microsoft.App/environments"


def test_the_subnets_are_apart_and_inside_the_network(deployments: dict[str, Deployment]) -> None:
    network = deployments["private-b0"].only("Microsoft.Network/virtualNetworks")["properties"]
    space = ipaddress.IPv4Network(network["addressSpace"]["addressPrefixes"][0])
    one, other = (
        ipaddress.IPv4Network(subnet["addressPrefix"]) for subnet in subnets(deployments["private-b0"]).values()
    )
    assert not one.overlaps(other)
    assert one.subnet_of(space)
    assert other.subnet_of(space)


def test_closed_storage_denies_by_default_too(deployment: Deployment) -> None:
    storage = deployment.only(STORAGE)["properties"]
    expected = "Deny" if storage["publicNetworkAccess"] == "Disabled" else "Allow"
    assert storage["networkAcls"] == {"bypass": "None", "defaultAction": expected}


def test_only_a_private_bus_is_premium(deployment: Deployment) -> None:
    bus = deployment.only(BUS)
    assert bus["sku"]["name"] == ("Premium" if bus["properties"]["publicNetworkAccess"] == "Disabled" else "Standard")


def test_without_a_network_nothing_of_one_is_deployed(default: Deployment) -> None:
    assert [found["type"] for found in default.resources if found["type"].startswith("Microsoft.Network/")] == []
    assert default.only("Microsoft.Web/sites")["properties"]["virtualNetworkSubnetId"] is None


def test_redis_may_be_elsewhere_than_everything_else(deployments: dict[str, Deployment], default: Deployment) -> None:
    elsewhere = deployments["private-b0"]
    assert elsewhere.only(MANAGED)["location"] == "northeurope"
    assert {found["location"] for found in elsewhere.resources if "location" in found} == {
        *("swedencentral", "northeurope", "global")
    }
    assert default.only(MANAGED)["location"] == default.outputs["AZURE_LOCATION"]


def test_zone_redundancy_is_of_the_plan_and_of_the_storage_that_it_starts_from(deployment: Deployment) -> None:
    zones = deployment.only("Microsoft.Web/serverfarms")["properties"]["zoneRedundant"]
    assert deployment.only(STORAGE)["sku"]["name"] == ("Standard_ZRS" if zones else "Standard_LRS")


@pytest.mark.parametrize(("name", "redis"), [("private-b0", f"{MANAGED}/databases"), ("private-all-c0", CLASSIC)])
def test_resource_logs_are_those_of_redis_and_of_the_bus(
    deployments: dict[str, Deployment], default: Deployment, name: str, redis: str
) -> None:
    settings = deployments[name].of_type("Microsoft.Insights/diagnosticSettings")
    scopes = {setting["id"].split("/providers/Microsoft.Insights/")[0] for setting in settings}
    assert scopes == {deployments[name].only(kind)["id"] for kind in (redis, BUS)}
    workspace = deployments[name].only("Microsoft.OperationalInsights/workspaces")["id"]
    assert {setting["properties"]["workspaceId"] for setting in settings} == {workspace}
    assert default.of_type("Microsoft.Insights/diagnosticSettings") == []


def test_a_flood_of_logs_has_a_limit(deployment: Deployment) -> None:
    workspace = deployment.only("Microsoft.OperationalInsights/workspaces")["properties"]
    assert workspace["workspaceCapping"] == {"dailyQuotaGb": 5}


def test_nothing_is_served_beside_the_api(deployment: Deployment) -> None:
    assert deployment.app_settings["AzureWebJobsDisableHomepage"] == "true"
    assert deployment.only("Microsoft.Web/sites")["properties"]["siteConfig"]["ftpsState"] == "Disabled"


def _zone(text: str) -> str:
    """The zone that a name or an id speaks of; the compiler leaves `environment()` to Resource Manager."""
    (zone, *_) = re.findall(r"privatelink\.[a-z.]+(?:\{\d\})?", text)
    return re.sub(r"\{\d\}", STORAGE_SUFFIX, zone)
