metadata description = 'Azure Managed Redis: Entra identities only, TLS only, nothing evicted, persistent.'

import { clusteringPolicy, persistenceKind, strings } from 'types.bicep'

param location string
param tags strings

@minLength(1)
@maxLength(60)
param name string

param tier string
param clustering clusteringPolicy
param persistence persistenceKind
param highAvailability bool
param appPrincipalId string

@description('Whether only the private endpoint leads to it.')
param private bool

var persistenceOf = {
  aof: { aofEnabled: true, aofFrequency: '1s', rdbEnabled: false }
  rdb: { aofEnabled: false, rdbEnabled: true, rdbFrequency: '1h' }
  none: { aofEnabled: false, rdbEnabled: false }
}

resource cluster 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: tier
  }
  properties: {
    highAvailability: highAvailability ? 'Enabled' : 'Disabled'
    minimumTlsVersion: '1.2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
  }
}

resource database 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' = {
  parent: cluster
  name: 'default'
  properties: {
    accessKeysAuthentication: 'Disabled'
    clientProtocol: 'Encrypted'
    clusteringPolicy: clustering
    // The service's own default may evict keys that have an expiry, as ours all have: stock and order records.
    evictionPolicy: 'NoEviction'
    persistence: persistenceOf[persistence]
    port: 10000
  }
}

// The only policy that this service has; it is what lets the app in at all.
resource appAccess 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = {
  parent: database
  name: 'app' // letters and digits only
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: appPrincipalId
    }
  }
}

output resourceId string = cluster.id
output url string = 'rediss://${cluster.properties.hostName}:${database.properties.port}/0'
