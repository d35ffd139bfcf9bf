metadata description = 'The private network: a subnet for the app, one for private endpoints, and the DNS zones that lead to them.'

import { strings } from 'types.bicep'

param location string
param tags strings
param name string

@description('Names, not ids from other modules: what-if can then look inside.')
param storageAccountName string

param redisName string
param managedRedis bool

@description('Empty: Service Bus stays public.')
param serviceBusNamespaceName string

var targets = concat(
  [
    {
      key: 'blob'
      id: resourceId('Microsoft.Storage/storageAccounts', storageAccountName)
      group: 'blob'
      zone: 'privatelink.blob.${environment().suffixes.storage}'
    }
    {
      key: 'table'
      id: resourceId('Microsoft.Storage/storageAccounts', storageAccountName)
      group: 'table'
      zone: 'privatelink.table.${environment().suffixes.storage}'
    }
    {
      key: 'redis'
      id: resourceId(managedRedis ? 'Microsoft.Cache/redisEnterprise' : 'Microsoft.Cache/redis', redisName)
      group: managedRedis ? 'redisEnterprise' : 'redisCache'
      zone: managedRedis ? 'privatelink.redis.azure.net' : 'privatelink.redis.cache.windows.net'
    }
  ],
  empty(serviceBusNamespaceName)
    ? []
    : [
        {
          key: 'bus'
          id: resourceId('Microsoft.ServiceBus/namespaces', serviceBusNamespaceName)
          group: 'namespace'
          zone: 'privatelink.servicebus.windows.net'
        }
      ]
)

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.40.0.0/20'
      ]
    }
    subnets: [
      {
        name: 'app' // Flex takes no underscore in this name
        properties: {
          addressPrefix: '10.40.0.0/23'
          delegations: [
            {
              name: 'flex'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.40.2.0/24'
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }

  resource app 'subnets' existing = {
    name: 'app'
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for target in targets: {
    name: target.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (target, i) in targets: {
    parent: zones[i]
    name: '${name}-${target.key}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for target in targets: {
    name: 'pe-${target.key}-${name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: network::endpoints.id
      }
      privateLinkServiceConnections: [
        {
          name: target.key
          properties: {
            privateLinkServiceId: target.id
            groupIds: [
              target.group
            ]
          }
        }
      ]
    }
  }
]

// Writes each endpoint's address into its zone.
resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (target, i) in targets: {
    parent: endpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: target.key
          properties: {
            privateDnsZoneId: zones[i].id
          }
        }
      ]
    }
  }
]

output appSubnetId string = network::app.id
