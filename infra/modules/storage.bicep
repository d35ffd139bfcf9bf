metadata description = 'The storage account of the Functions host and of the deployed package. It has no usable key.'

import { strings } from 'types.bicep'

param location string
param tags strings

@minLength(3)
@maxLength(24)
param name string

param packageContainerName string

@description('Whether only the private endpoint leads to it. Without a network Flex Consumption has no address to let in.')
param private bool

@description('Three zones, which a zone-redundant plan asks of the storage of its app.')
param zoneRedundant bool

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  kind: 'StorageV2'
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    networkAcls: {
      bypass: 'None'
      defaultAction: private ? 'Deny' : 'Allow'
    }
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource packages 'containers' = {
      name: packageContainerName
      properties: {
        publicAccess: 'None'
      }
    }
  }
}

output packageContainerUri string = '${account.properties.primaryEndpoints.blob}${account::blobs::packages.name}'
