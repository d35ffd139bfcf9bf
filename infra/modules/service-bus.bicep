metadata description = 'The Service Bus namespace and the orders queue. Entra identities only.'

import { strings } from 'types.bicep'

param location string
param tags strings

@minLength(6)
@maxLength(50)
param name string

param queueName string

@description('Whether only the private endpoint leads to it. Makes it Premium, which no Standard namespace becomes in place.')
param private bool

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  // Basic has no duplicate detection; only Premium has private endpoints.
  sku: private ? { name: 'Premium', tier: 'Premium', capacity: 1 } : { name: 'Standard', tier: 'Standard' }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
  }

  resource orders 'queues' = {
    name: queueName
    properties: {
      // The host renews it while a message is being handled, up to maxAutoLockRenewalDuration of host.json.
      lockDuration: 'PT1M'
      // Ten times the patience of fulfil_order (120 s): about 20 minutes of Redis outage before a message dead-letters.
      maxDeliveryCount: 10
      // Fixed at creation. No longer than this: inside it, a repeat of a dead-lettered order is swallowed.
      requiresDuplicateDetection: true
      duplicateDetectionHistoryTimeWindow: 'PT10M'
      deadLetteringOnMessageExpiration: true
      maxSizeInMegabytes: 1024
    }
  }
}

output namespaceId string = namespace.id
output fullyQualifiedNamespace string = '${namespace.name}.servicebus.windows.net'
