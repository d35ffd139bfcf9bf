metadata description = 'Resource logs of Redis and Service Bus, all categories, into Log Analytics: who connected, and what was refused.'

param workspaceName string
param redisName string
param managedRedis bool
param serviceBusNamespaceName string

var everything = [
  {
    categoryGroup: 'allLogs'
    enabled: true
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: workspaceName
}

resource managed 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' existing = if (managedRedis) {
  name: '${redisName}/default'
}

resource classic 'Microsoft.Cache/redis@2024-11-01' existing = if (!managedRedis) {
  name: redisName
}

resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: serviceBusNamespaceName
}

resource ofManaged 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (managedRedis) {
  scope: managed
  name: 'resource-logs'
  properties: {
    workspaceId: workspace.id
    logs: everything
  }
}

resource ofClassic 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!managedRedis) {
  scope: classic
  name: 'resource-logs'
  properties: {
    workspaceId: workspace.id
    logs: everything
  }
}

resource ofBus 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: bus
  name: 'resource-logs'
  properties: {
    workspaceId: workspace.id
    logs: everything
  }
}
