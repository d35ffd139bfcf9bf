"""What is public and what is not: nothing in between, and whatever is closed has an endpoint and a name inside."""

from __future__ import annotations

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


def _zone(text: str) -> str:
    """The zone that a name or an id speaks of; the compiler leaves `environment()` to Resource Manager."""
    (zone, *_) = re.findall(r"privatelink\.[a-z.]+(?:\{\d\})?", text)
    return re.sub(r"\{\d\}", STORAGE_SUFFIX, zone)
