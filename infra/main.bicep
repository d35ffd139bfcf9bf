metadata description = 'Everything the app needs, in one resource group. Refuses a scale-out limit that the Redis tier cannot carry.'

targetScope = 'subscription'

import { clients, flexScaleGroups, keptReady, offerOf, primariesOf, refusalOf, usableClients } from 'modules/budget.bicep'
import { clusteringPolicy, connectionBudget, persistenceKind, privateNetworkKind, strings, tierName } from 'modules/types.bicep'

@minLength(1)
@maxLength(40)
@description('Name of the environment (AZURE_ENV_NAME of azd): part of the resource group\'s name, seed of all others.')
param environmentName string

@minLength(1)
@description('Region of every resource but, if redisLocation says so, Redis. A scale-out limit below 40 is accepted in some regions only.')
@metadata({ azd: { type: 'location' } })
param location string

@description('Object id of the person or pipeline that may enqueue orders and replay dead letters. Empty: nobody.')
param deployerPrincipalId string = ''

@description('What that principal is; a wrong kind is refused by Azure.')
param deployerPrincipalType 'User' | 'Group' | 'ServicePrincipal' = 'User'

@description('Who gets the alerts by e-mail. Empty: the rules fire, and only the portal shows it.')
param alertEmail string = ''

// Who gets in, and where

@description('Private endpoints, and no public access to what is behind them. Decide before the first deployment: all makes the bus Premium.')
param privateNetwork privateNetworkKind = 'off'

@description('Region of Redis, where the first one has no room for its tier. Empty: that of everything else.')
param redisLocation string = ''

// The connection budget: docs/sizing.md

@description('Redis tier, a row of services/redis_tiers.json.')
param redisTier tierName = 'Balanced_B0'

@minValue(1)
@maxValue(1000)
@description('Most on-demand instances of each scale group (HTTP, fulfil_order).')
param scaleOutLimit int = 100

@minValue(0)
@maxValue(100)
@description('Instances kept warm for HTTP, on top of the limit.')
param alwaysReadyHttp int = 0

@minValue(0)
@maxValue(100)
@description('Instances kept warm for fulfil_order, on top of the limit.')
param alwaysReadyWorker int = 0

@description('Instances in several zones. The platform then keeps two ready of each group, paid as always-ready.')
param zoneRedundant bool = false

@minValue(1)
@maxValue(100)
@description('Most Redis connections of one instance; the first carries every ordinary call.')
param redisConnectionsPerWorker int = 1

@minValue(0)
@maxValue(90)
@description('Share of the tier\'s clients kept free: vanished instances, deployments, overshoot, a person with redis-cli.')
param redisHeadroomPercent int = 20

// Azure Managed Redis only

@description('Fixed at creation. EnterpriseCluster grows into every tier; NoCluster ends at 25 GB; OSSCluster: docs/sizing.md.')
param redisClustering clusteringPolicy = 'EnterpriseCluster'

@description('What survives when all nodes are lost; a drop whose keys are lost is over.')
param redisPersistence persistenceKind = 'aof'

@description('A replica that takes over. Off halves the price, and every patch is an outage.')
param redisHighAvailability bool = true

// The app

param pythonVersion '3.11' | '3.12' | '3.13' | '3.14' = '3.12'

param instanceMemoryMB 512 | 2048 | 4096 = 2048

@minValue(1)
@maxValue(1000)
@description('HTTP requests at the same time per instance. Left to the platform, a Python app gets 1.')
param httpConcurrency int = 100

@minValue(1)
@maxValue(1000)
@description('Orders decided at the same time per instance, and the divisor of target-based scaling.')
param messageConcurrency int = 16

@minValue(1)
@maxValue(604800)
@description('HOLD_S: how long a queued order holds its customer\'s quota, in seconds.')
param holdSeconds int = 900

@minValue(0)
@maxValue(270)
@description('PATIENCE_S: how long fulfil_order waits for Redis, in seconds; ten deliveries must outlast an outage.')
param patienceSeconds int = 120

@minValue(0)
@maxValue(600)
@description('REDIS_IDLE_CHECK_S: a connection idle for longer proves itself with a PING before use, in seconds.')
param redisIdleCheckSeconds int = 15

// What is watched

@minValue(1)
@maxValue(1000)
@description('Gigabytes of logs a day, after which none is taken in until the next: a limit to the price of a flood.')
param dailyLogQuotaGb int = 5

@description('A request to /api/health/ready from three places every 15 minutes: notices that the app is gone.')
param availabilityTest bool = true

@description('Resource logs of Redis and Service Bus: every connection, paid by volume. For an investigation.')
param resourceLogs bool = false

@description('OpenTelemetry: the host and the Python worker both export by it. Needs a line of requirements.txt: docs/operations.md.')
param telemetry 'ApplicationInsights' | 'OpenTelemetry' = 'ApplicationInsights'

@minValue(1)
@description('Orders waiting on the queue, on average over 15 minutes, that raise an alert.')
param backlogLimit int = 1000

var budget connectionBudget = {
  tier: redisTier
  scaleOutLimit: scaleOutLimit
  scaleGroups: flexScaleGroups
  alwaysReady: keptReady(alwaysReadyHttp, alwaysReadyWorker, zoneRedundant)
  workerProcesses: 1 // Flex Consumption runs one worker process per instance
  connectionsPerWorker: redisConnectionsPerWorker
  headroomPercent: redisHeadroomPercent
  primaries: primariesOf(redisTier, redisClustering)
}
var refusal = refusalOf(budget)

// Every resource that scales reads this one, so an unsafe combination reaches none.
var safeScaleOutLimit = empty(refusal) ? scaleOutLimit : fail(refusal)

var tags strings = { 'azd-env-name': environmentName }
var token = toLower(uniqueString(subscription().id, environmentName, location))
var queueName = 'orders'
var names = {
  identity: 'id-${token}'
  workspace: 'log-${token}'
  applicationInsights: 'appi-${token}'
  storage: 'st${token}'
  serviceBus: 'sb-${token}'
  redis: 'redis-${token}'
  plan: 'plan-${token}'
  app: 'func-${token}'
  network: 'vnet-${token}'
}
var managed = offerOf(redisTier) == 'managed'
var private = privateNetwork != 'off'
var privateBus = privateNetwork == 'all'
var redisRegion = empty(redisLocation) ? location : redisLocation

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    name: names.identity
  }
}

var appIdentity = {
  resourceId: identity.outputs.resourceId
  principalId: identity.outputs.principalId
  clientId: identity.outputs.clientId
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    workspaceName: names.workspace
    applicationInsightsName: names.applicationInsights
    dailyQuotaGb: dailyLogQuotaGb
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    name: names.storage
    packageContainerName: 'app-package'
    private: private
    zoneRedundant: zoneRedundant
  }
}

module serviceBus 'modules/service-bus.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    name: names.serviceBus
    queueName: queueName
    private: privateBus
  }
}

module redisManaged 'modules/redis-managed.bicep' = if (managed) {
  scope: group
  params: {
    location: redisRegion
    tags: tags
    name: names.redis
    tier: redisTier
    clustering: redisClustering
    persistence: redisPersistence
    highAvailability: redisHighAvailability
    appPrincipalId: appIdentity.principalId
    private: private
  }
}

module redisClassic 'modules/redis-classic.bicep' = if (!managed) {
  scope: group
  params: {
    location: redisRegion
    tags: tags
    name: names.redis
    tier: redisTier
    appPrincipalId: appIdentity.principalId
    private: private
  }
}

module network 'modules/network.bicep' = if (private) {
  scope: group
  params: {
    location: location
    tags: tags
    name: names.network
    storageAccountName: names.storage
    redisName: names.redis
    managedRedis: managed
    serviceBusNamespaceName: privateBus ? names.serviceBus : ''
  }
  // It knows them by name only. An endpoint to a Redis that is still being changed is refused.
  dependsOn: [
    redisClassic
    redisManaged
    serviceBus
    storage
  ]
}

module logs 'modules/resource-logs.bicep' = if (resourceLogs) {
  scope: group
  params: {
    workspaceName: names.workspace
    redisName: names.redis
    managedRedis: managed
    serviceBusNamespaceName: names.serviceBus
  }
  dependsOn: [
    monitoring
    redisClassic
    redisManaged
    serviceBus
  ]
}

module roles 'modules/roles.bicep' = {
  scope: group
  params: {
    app: appIdentity
    appIdentityName: names.identity
    deployer: {
      principalId: deployerPrincipalId
      principalType: deployerPrincipalType
    }
    storageAccountName: names.storage
    serviceBusNamespaceName: names.serviceBus
    queueName: queueName
    applicationInsightsName: names.applicationInsights
  }
  // It knows them by name only, so that what-if can look inside.
  dependsOn: [
    monitoring
    serviceBus
    storage
  ]
}

// Both exporters or neither: with one of them alone, logs are lost.
var telemetrySettings strings = telemetry == 'OpenTelemetry'
  ? {
      AzureFunctionsJobHost__telemetryMode: 'OpenTelemetry'
      PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
      // By trace id, so that every instance keeps the same traces; by default each keeps 5 of its own a second.
      OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
      OTEL_TRACES_SAMPLER_ARG: '0.1'
      OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk' // its spans of a send repeat the app's own
      // Every logger of the app is below it. By default the root: the SDKs', the worker's and the exporter's own lines too.
      PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME: 'services'
    }
  : {}

var appSettings strings = union(telemetrySettings, {
  REDIS_URL: managed ? redisManaged!.outputs.url : redisClassic!.outputs.url
  REDIS_ENTRA_CLIENT_ID: appIdentity.clientId
  REDIS_IDLE_CHECK_S: string(redisIdleCheckSeconds)
  REDIS_TIER: budget.tier
  SCALE_OUT_LIMIT: string(safeScaleOutLimit)
  SCALE_GROUPS: string(budget.scaleGroups)
  ALWAYS_READY_INSTANCES: string(budget.alwaysReady)
  REDIS_CONNECTIONS_PER_WORKER: string(budget.connectionsPerWorker)
  REDIS_HEADROOM_PERCENT: string(budget.headroomPercent)
  REDIS_PRIMARIES: string(budget.primaries)
  ServiceBusConnection__fullyQualifiedNamespace: serviceBus.outputs.fullyQualifiedNamespace
  ServiceBusConnection__credential: 'managedidentity'
  ServiceBusConnection__clientId: appIdentity.clientId
  ORDERS_QUEUE: queueName
  HOLD_S: string(holdSeconds)
  PATIENCE_S: string(patienceSeconds)
  AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls: string(messageConcurrency)
})

module functionApp 'modules/function-flex.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    name: names.app
    planName: names.plan
    identity: appIdentity
    storageAccountName: names.storage
    packageContainerUri: storage.outputs.packageContainerUri
    applicationInsightsName: names.applicationInsights
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    appSettings: appSettings
    scaleOutLimit: safeScaleOutLimit
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyWorker: alwaysReadyWorker
    workerFunctionName: 'fulfil_order'
    zoneRedundant: zoneRedundant
    subnetId: private ? network!.outputs.appSubnetId : ''
  }
  // The host reads its storage and the queue as soon as it starts.
  dependsOn: [
    roles
  ]
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    nameSuffix: token
    email: alertEmail
    redisResourceId: managed ? redisManaged!.outputs.resourceId : redisClassic!.outputs.resourceId
    managedRedis: managed
    usableClients: usableClients(budget)
    expectedClients: clients(budget)
    serviceBusNamespaceId: serviceBus.outputs.namespaceId
    queueName: queueName
    backlogLimit: backlogLimit
    applicationInsightsId: monitoring.outputs.applicationInsightsId
  }
}

module availability 'modules/availability.bicep' = if (availabilityTest) {
  scope: group
  params: {
    location: location
    tags: tags
    nameSuffix: token
    appUri: functionApp.outputs.uri
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    told: alerts.outputs.told
  }
}

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP_NAME string = functionApp.outputs.name
output SERVICE_API_URI string = functionApp.outputs.uri
output SERVICE_BUS_NAMESPACE string = serviceBus.outputs.fullyQualifiedNamespace
output ORDERS_QUEUE string = queueName
output REDIS_CLIENTS_AT_FULL_SCALE int = clients(budget)
output REDIS_CLIENTS_ALLOWED int = usableClients(budget)
