metadata description = 'Every role assignment, each with its reason. Access to Redis is no role: it stands with each Redis.'

import { appIdentity, person } from 'types.bicep'

param app appIdentity
param deployer person

@description('Part of the names of the assignments: known before anything is deployed, so that what-if sees them.')
param appIdentityName string

param storageAccountName string
param serviceBusNamespaceName string
param queueName string
param applicationInsightsName string

var roleIds = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  serviceBusDataOwner: '090c5cfd-751d-490a-894a-3ce6f1109419'
  serviceBusDataSender: '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
  serviceBusDataReceiver: '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

var appStorageRoles = [
  roleIds.storageBlobDataOwner // the host keeps its keys and locks in blobs, and reads the app's package from one
  roleIds.storageTableDataContributor // the host writes its diagnostic events to a table
]

var deployerQueueRoles = [
  roleIds.serviceBusDataSender // to put an order on the queue by hand, and to replay a dead letter
  roleIds.serviceBusDataReceiver // to read dead letters and to take a replayed one off
]

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' existing = {
  name: '${serviceBusNamespaceName}/${queueName}'
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource appOnStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in appStorageRoles: {
    name: guid(storage.id, appIdentityName, role)
    scope: storage
    properties: {
      principalId: app.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// Owner, of this queue only: besides sending and receiving, target-based scaling reads its length, which is a Manage right.
resource appOnQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(queue.id, appIdentityName, roleIds.serviceBusDataOwner)
  scope: queue
  properties: {
    principalId: app.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds.serviceBusDataOwner)
  }
}

// Application Insights has its local authentication off: without this role telemetry is dropped, and nothing says so.
resource appOnApplicationInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(applicationInsights.id, appIdentityName, roleIds.monitoringMetricsPublisher)
  scope: applicationInsights
  properties: {
    principalId: app.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roleIds.monitoringMetricsPublisher
    )
  }
}

resource deployerOnQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in empty(deployer.principalId) ? [] : deployerQueueRoles: {
    name: guid(queue.id, deployer.principalId, role)
    scope: queue
    properties: {
      principalId: deployer.principalId
      principalType: deployer.principalType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]
