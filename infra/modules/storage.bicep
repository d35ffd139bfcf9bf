metadata description = 'The storage account of the Functions host and of the deployed package. It has no usable key.'

import { strings } from 'types.bicep'

param location string
param tags strings

@minLength(3)
@maxLength(24)
param name string

param packageContainerName string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Standard_LRS'
  }
  kind: 'StorageV2'
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
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
