metadata description = 'Azure Cache for Redis, for those who may still create one (retires 2028-09-30): Entra identities only, TLS only.'

import { strings } from 'types.bicep'

param location string
param tags strings

@minLength(1)
@maxLength(63)
param name string

@description('A classic row of services/redis_tiers.json: its name is the SKU, the family and the capacity.')
param tier string

param appPrincipalId string

@description('Whether only the private endpoint leads to it.')
param private bool

var sku = split(tier, '_')

resource cache 'Microsoft.Cache/redis@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    sku: {
      name: sku[0]
      family: substring(sku[1], 0, 1)
      capacity: int(substring(sku[1], 1))
    }
    redisVersion: '6'
    enableNonSslPort: false
    minimumTlsVersion: '1.2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    disableAccessKeyAuthentication: true
    redisConfiguration: {
      'aad-enabled': 'true'
      // The default may evict keys that have an expiry, as ours all have: stock and order records.
      'maxmemory-policy': 'noeviction'
    }
  }
}

// Read and write, scripts included, without the dangerous and administrative commands.
resource appAccess 'Microsoft.Cache/redis/accessPolicyAssignments@2024-11-01' = {
  parent: cache
  name: 'app'
  properties: {
    accessPolicyName: 'Data Contributor'
    objectId: appPrincipalId
    objectIdAlias: 'app'
  }
}

output resourceId string = cache.id
output url string = 'rediss://${cache.properties.hostName}:${cache.properties.sslPort}/0'
