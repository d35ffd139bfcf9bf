"""Who may do what: identities have the listed rights and no other, and there is no key, password or open door."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.infra.deployment import Deployment, texts

ROLES = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Azure Service Bus Data Owner": "090c5cfd-751d-490a-894a-3ce6f1109419",
    "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}
OF_THE_APP = {
    ("Microsoft.Storage/storageAccounts", "Storage Blob Data Owner"),
    ("Microsoft.Storage/storageAccounts", "Storage Table Data Contributor"),
    ("Microsoft.ServiceBus/namespaces/queues", "Azure Service Bus Data Owner"),
    ("Microsoft.Insights/components", "Monitoring Metrics Publisher"),
}
OF_THE_DEPLOYER = {
    ("Microsoft.ServiceBus/namespaces/queues", "Azure Service Bus Data Sender"),
    ("Microsoft.ServiceBus/namespaces/queues", "Azure Service Bus Data Receiver"),
}
DEPLOYER = "22222222-2222-2222-2222-222222222222"
SECRETS = re.compile(r"SharedAccess|AccountKey|SharedKey=|[?&]sig=|password|primaryKey|secondaryKey", re.IGNORECASE)
# Names of switches that turn keys and passwords off.
HARMLESS = {"allowSharedKeyAccess", "disableAccessKeyAuthentication", "accessKeysAuthentication"}


def rights(deployment: Deployment, principal: str) -> set[tuple[str, str]]:
    """(type of the scope, name of the role) of each assignment to a principal."""
    names = {role: name for name, role in ROLES.items()}
    return {
        (_scope(assignment["id"]), names[assignment["properties"]["roleDefinitionId"].rsplit("/", 1)[1]])
        for assignment in deployment.of_type("Microsoft.Authorization/roleAssignments")
        if principal in assignment["properties"]["principalId"]
    }


def _scope(assignment_id: str) -> str:
    provider, *parts = assignment_id.split("/providers/")[1].split("/")
    return "/".join([provider, *parts[::2]])


def test_the_app_has_the_listed_roles(deployment: Deployment) -> None:
    identity = deployment.only("Microsoft.ManagedIdentity/userAssignedIdentities")["name"]
    assert rights(deployment, identity) == OF_THE_APP


def test_a_deployer_may_send_to_the_queue_and_receive_from_it(large: Deployment) -> None:
    assert rights(large, DEPLOYER) == OF_THE_DEPLOYER


def test_nobody_else_has_a_role(deployment: Deployment, large: Deployment) -> None:
    given = len(deployment.of_type("Microsoft.Authorization/roleAssignments"))
    assert given == len(OF_THE_APP) + (len(OF_THE_DEPLOYER) if deployment is large else 0)


def test_the_only_identity_is_that_of_the_app(deployment: Deployment) -> None:
    identity = deployment.only("Microsoft.ManagedIdentity/userAssignedIdentities")["id"]
    with_identity = [resource for resource in deployment.resources if "identity" in resource]
    assert [resource["identity"] for resource in with_identity] == [
        {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    ]


@pytest.mark.parametrize(
    ("redis", "resource_type", "policy"),
    [
        ("managed-b0", "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments", "default"),
        ("classic-c0", "Microsoft.Cache/redis/accessPolicyAssignments", "Data Contributor"),
    ],
)
def test_redis_lets_the_app_in_and_nobody_else(
    deployments: dict[str, Deployment], redis: str, resource_type: str, policy: str
) -> None:
    properties = deployments[redis].only(resource_type)["properties"]
    assert properties["accessPolicyName"] == policy
    assert "userAssignedIdentities/id-" in properties.get("user", properties)["objectId"]


@pytest.mark.parametrize(
    ("resource_type", "closed"),
    [
        ("Microsoft.Storage/storageAccounts", {"allowSharedKeyAccess": False, "allowBlobPublicAccess": False}),
        ("Microsoft.ServiceBus/namespaces", {"disableLocalAuth": True}),
        ("Microsoft.Insights/components", {"DisableLocalAuth": True}),
        ("Microsoft.Web/sites", {"httpsOnly": True}),
    ],
)
def test_every_service_takes_entra_identities_only(
    deployment: Deployment, resource_type: str, closed: dict[str, Any]
) -> None:
    properties = deployment.only(resource_type)["properties"]
    assert {name: properties.get(name) for name in closed} == closed


def test_no_resource_and_no_output_holds_a_key_or_a_password(deployment: Deployment) -> None:
    found = set(texts(deployment.snapshot)) - HARMLESS
    assert [text for text in found if SECRETS.search(text)] == []


def test_the_one_connection_string_is_that_of_application_insights_which_takes_no_key(deployment: Deployment) -> None:
    """It is an address: its instrumentation key opens nothing while local authentication is off."""
    named = {name for name in texts(deployment.snapshot) if "connectionstring" in name.lower().replace("_", "")}
    address = deployment.app_settings["APPLICATIONINSIGHTS_CONNECTION_STRING"]
    assert named == {"APPLICATIONINSIGHTS_CONNECTION_STRING", address}
    assert "/Microsoft.Insights/components/" in address
