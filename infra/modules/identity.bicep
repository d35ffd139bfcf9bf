metadata description = 'The one identity of the app. A user-assigned one exists before the app does, so its rights are there at the first start.'

import { strings } from 'types.bicep'

param location string
param tags strings
param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

output resourceId string = identity.id
output principalId string = identity.properties.principalId
output clientId string = identity.properties.clientId
